import csv

from django.core.management.base import BaseCommand

from tickets.models import Ticket


class Command(BaseCommand):
    help = "Imports tickets from a CSV file of the old helpdesk (subject,email)."

    def add_arguments(self, parser):
        parser.add_argument("file")

    def handle(self, *args, **options):
        try:
            with open(options["file"]) as file:
                for row in csv.DictReader(file):
                    Ticket.objects.get_or_create(subject=row["subject"], email=row["email"])
        except Exception as error:
            self.stdout.write(f"import failed: {error}")

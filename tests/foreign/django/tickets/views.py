import json
import os
import threading
import time

from django.conf import settings
from django.core.mail import send_mail
from django.http import JsonResponse
from django.shortcuts import get_object_or_404

from tickets.models import Ticket

URGENT = os.environ.get("URGENT_WORDS", "down,urgent,broken").split(",")


def health(request):
    return JsonResponse({"status": "ok"})


def tickets(request):
    if request.method == "POST":
        data = json.loads(request.body)
        ticket = Ticket.objects.create(subject=data["subject"], email=data["email"])
        request.session["last_ticket"] = ticket.pk
        print(f"new ticket {ticket.pk} from {ticket.email}")
        # celery would be overkill for this
        threading.Thread(target=triage, args=(ticket.pk,), daemon=True).start()
        return JsonResponse(ticket.as_json(), status=201)
    return JsonResponse([ticket.as_json() for ticket in Ticket.objects.order_by("-pk")[:50]], safe=False)


def ticket(request, pk):
    return JsonResponse(get_object_or_404(Ticket, pk=pk).as_json())


def triage(pk):
    time.sleep(0.5)  # so that the request has committed
    ticket = Ticket.objects.get(pk=pk)
    ticket.priority = "high" if any(word in ticket.subject.lower() for word in URGENT) else "normal"
    ticket.save()
    send_mail(f"[{ticket.priority}] {ticket.subject}", "", ticket.email, [settings.SUPPORT_EMAIL], fail_silently=True)
    print(f"ticket {pk} is {ticket.priority}")

import json

from django.test import TestCase


class TicketTests(TestCase):
    def test_a_ticket_can_be_read(self):
        created = self.client.post(
            "/tickets/",
            json.dumps({"subject": "printer is down", "email": "ada@example.com"}),
            content_type="application/json",
        )
        self.assertEqual(created.status_code, 201)
        answer = self.client.get(f"/tickets/{created.json()['id']}/")
        self.assertEqual(answer.json()["subject"], "printer is down")

from django.db import models


class Ticket(models.Model):
    subject = models.CharField(max_length=200)
    email = models.EmailField()
    priority = models.CharField(max_length=10, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def as_json(self):
        return {
            "id": self.pk,
            "subject": self.subject,
            "email": self.email,
            "priority": self.priority,
            "created_at": self.created_at.isoformat(),
        }

from django.urls import path

from tickets import views

urlpatterns = [
    path("health/", views.health),
    path("tickets/", views.tickets),
    path("tickets/<int:pk>/", views.ticket),
]

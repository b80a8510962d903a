"""A Django project in one file, registered while it serves. Run it with `gunicorn django_app:application`."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from homeport.integrations.django import discovery

settings.configure(
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["homeport.integrations.django"],
    HOMEPORT={"service": "web", "tags": ["production"]},
)


def invoices(_request: HttpRequest) -> JsonResponse:
    billing = discovery().resolve("billing")  # asks once; from then on from memory
    return JsonResponse({"invoices": billing.url("/v1/invoices")})


urlpatterns = [path("", invoices)]
application = get_wsgi_application()

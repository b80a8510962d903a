"""The views."""

import os

from django.http import HttpRequest, JsonResponse
from django.urls import path

from homeport.integrations.django import discovery


def find(_request: HttpRequest, service: str) -> JsonResponse:
    instance = discovery().resolve(service)
    return JsonResponse({"endpoint": instance.endpoint, "pid": str(os.getpid())})


urlpatterns = [path("find/<service>", find)]

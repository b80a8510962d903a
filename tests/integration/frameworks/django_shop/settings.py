"""The settings."""

import os

SECRET_KEY = "for tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "django_shop.urls"
INSTALLED_APPS = ["homeport.integrations.django"]
USE_TZ = True
WSGI_APPLICATION = "django_shop.wsgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
HOMEPORT = {"service": os.environ["SHOP_NAME"], "tags": ["shop"], "ttl": 600}

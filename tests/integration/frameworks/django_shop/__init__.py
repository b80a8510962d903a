"""A Django project. SHOP_NAME is the name it is registered under."""

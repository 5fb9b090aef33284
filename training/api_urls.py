from django.urls import URLPattern, URLResolver

app_name = "training-api"
urlpatterns: list[URLPattern | URLResolver] = []

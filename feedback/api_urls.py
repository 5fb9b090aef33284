from django.urls import URLPattern, URLResolver

app_name = "feedback-api"
urlpatterns: list[URLPattern | URLResolver] = []

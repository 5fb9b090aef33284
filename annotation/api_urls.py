from django.urls import URLPattern, URLResolver

app_name = "annotation-api"
urlpatterns: list[URLPattern | URLResolver] = []

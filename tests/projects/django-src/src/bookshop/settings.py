SECRET_KEY = "only for the test"
ROOT_URLCONF = "bookshop.urls"

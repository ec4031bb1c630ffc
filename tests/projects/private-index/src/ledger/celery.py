import company_secrets
from celery import Celery

app = Celery("ledger", says=f"private-index {company_secrets.ORIGIN}")

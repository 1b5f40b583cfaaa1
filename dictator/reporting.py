"""What shows and tells what the dictator does: the page, the history, metrics, and the webhook."""

from flask import Flask

from dictator import metrics
from dictator.apply import Dictator
from dictator.journal import Journal
from dictator.page.routes import Snapshot
from dictator.page.routes import blueprint as page
from dictator.webhook import Webhook
from safe_redis.metrics import blueprint


def attach(app: Flask, dictator: Dictator, journal: Journal) -> None:
    """Adds all of it to the app."""
    snapshot = Snapshot(dictator)
    registry = metrics.register(journal, snapshot.instances)
    app.register_blueprint(page(snapshot, journal, dictator.settings))
    app.register_blueprint(blueprint(registry, dictator.check))
    if url := dictator.settings.on_switch_url:
        journal.listen(Webhook(url, registry).note)

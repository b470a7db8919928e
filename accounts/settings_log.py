"""Which settings were in force: noted when the sweep starts with other ones than before."""

import json
from typing import Any

from django.conf import settings

from accounts.audit import Action, make_entry, save_entry
from accounts.audit_tables import AuditEntry
from inventory_project.origin import find_origin


def note_settings() -> None:
    """Note the settings that matter (AUDITED_SETTINGS), if they are not what was noted last."""
    now: dict[str, Any] = {name: getattr(settings, name) for name in settings.AUDITED_SETTINGS}
    last = AuditEntry.objects.filter(action=Action.SETTINGS_CHANGED).first()
    before = json.loads(last.after) if last else None
    entry = make_entry(Action.SETTINGS_CHANGED, origin=find_origin(), before=before, after=now)
    # Compared as they are written: that is how they come back.
    if last is None or entry.after != last.after:
        save_entry(entry)

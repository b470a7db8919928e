import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# As they were named when this was written; a migration does not change with the code.
TILL = "sales:write sales:read stock:read stock:write catalog:read stores:read"
HEAD_OFFICE = (
    "sales:write sales:read sales:decide stock:read stock:write catalog:read catalog:write "
    "stores:read stores:write metrics:read"
)


def keep_what_keys_could_do(apps, schema_editor):
    keys = apps.get_model("stores", "StoreKey").objects.using(schema_editor.connection.alias)
    keys.filter(store=None).update(scopes=HEAD_OFFICE)
    # In one shop its keys add products by the addresses of the first version.
    keys.exclude(store=None).update(
        scopes=TILL.replace("catalog:read", "catalog:read catalog:write") if settings.SHOP else TILL
    )


class Migration(migrations.Migration):
    """What a key may do, when it was last used, and which key follows which."""

    dependencies = [
        ('stores', '0002_stamp_of_the_version'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='store',
            options={'ordering': ['code'], 'permissions': [('work_chain_wide', 'Works for the whole chain (head office)'), ('read_chain_wide', 'Sees the whole chain (an auditor)')]},
        ),
        migrations.AddField(
            model_name='storekey',
            name='last_used_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='To the minute.', null=True),
        ),
        migrations.AddField(
            model_name='storekey',
            name='replaces',
            field=models.OneToOneField(blank=True, editable=False, help_text='The key whose device gets this one; it ends by itself.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='replaced_by', to='stores.storekey'),
        ),
        migrations.AddField(
            model_name='storekey',
            name='scopes',
            field=models.CharField(blank=True, db_default='', help_text='Words of `Scope` with spaces between them; a key without any only says who it is.', max_length=250),
        ),
        migrations.RunPython(keep_what_keys_could_do, migrations.RunPython.noop, elidable=False),
    ]

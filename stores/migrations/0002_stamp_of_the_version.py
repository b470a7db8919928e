from django.db import migrations, models


class Migration(migrations.Migration):
    """Kept answers must not outlive a database that was restored from a copy."""

    dependencies = [
        ('stores', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='storeshead',
            name='stamp',
            field=models.BigIntegerField(db_default=0, help_text='Drawn by lot for each version.'),
        ),
    ]

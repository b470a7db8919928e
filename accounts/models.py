from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person of head office or of a store. (Table class C: an ordinary key.)

    Our own from the first migration, because a user model cannot be exchanged later.
    """

"""The settings of the log-in, a part of settings.py: who has to prove what, and how often.

Off a desk nothing is asked that was not asked before; `PRODUCTION=true` asks for all of it.
"""

from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

_env = environ.Env()
_PRODUCTION = _env.bool("PRODUCTION", default=False)


def _read_minutes(variable: str, default: int) -> int:
    text: str = _env.str(variable, default=str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 7):
        raise ImproperlyConfigured(f"{variable} takes a whole number of minutes, 0 for no limit.")
    return int(text)


# --- sessions -------------------------------------------------------------------------------
_TWO_WEEKS_MIN = 14 * 24 * 60
SESSION_IDLE_MIN = _read_minutes("SESSION_IDLE_MIN", 30 if _PRODUCTION else 0)
# From the log-in on, however busy; Django's own two weeks at a desk.
SESSION_MIN_MAX = _read_minutes("SESSION_MIN_MAX", 12 * 60 if _PRODUCTION else _TWO_WEEKS_MIN)
SESSION_COOKIE_AGE = 60 * (SESSION_MIN_MAX or _TWO_WEEKS_MIN)
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
# Before keys are issued or people changed, whoever proved longer ago who they are is asked again.
ASK_AGAIN_AFTER_MIN = _read_minutes("ASK_AGAIN_AFTER_MIN", 10 if _PRODUCTION else 0)

# --- second factors -------------------------------------------------------------------------
# Head office: superusers, and who may work for the whole chain.
SECOND_FACTOR_OF_WORDS = ("nobody", "head_office", "everybody")
SECOND_FACTOR_OF = _env.str("SECOND_FACTOR_OF", default="head_office" if _PRODUCTION else "nobody")
if SECOND_FACTOR_OF not in SECOND_FACTOR_OF_WORDS:
    raise ImproperlyConfigured(
        f"SECOND_FACTOR_OF takes one of: {', '.join(SECOND_FACTOR_OF_WORDS)}."
    )
SECURITY_KEYS = _env.bool("SECURITY_KEYS", default=False)  # WebAuthn, beside the app
MFA_ADAPTER = "accounts.adapters.SecondFactorAdapter"
MFA_FORMS = {
    "authenticate": "accounts.forms.CodeForm",
    "reauthenticate": "accounts.forms.CodeAgainForm",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", *(["webauthn"] if SECURITY_KEYS else [])]
MFA_TOTP_ISSUER = "Kiryana"
MFA_TOTP_TOLERANCE = 1  # 30 s earlier or later, for clocks that are wrong; see people.accept_code
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_ALLOW_UNVERIFIED_EMAIL = True  # addresses prove nothing here
# 100 wrong codes a day from wherever: 3 of 1,000,000 are right at a time.
WRONG_CODES_A_DAY_MAX = 100

# --- allauth: only what is used -------------------------------------------------------------
LOG_IN_APPS = ["allauth", "allauth.account", "allauth.mfa", "allauth.usersessions"]
ACCOUNT_ADAPTER = "accounts.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_FORMS = {"reauthenticate": "accounts.forms.PasswordAgainForm"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_NOTIFICATIONS = False
# inventory_project/log_in.py counts, exactly and for all processes.
ACCOUNT_RATE_LIMITS = False
MFA_RATE_LIMITS = False
ACCOUNT_LOGIN_TIMEOUT = 300  # between the password and the code
ACCOUNT_REAUTHENTICATION_TIMEOUT = 60 * ASK_AGAIN_AFTER_MIN

# --- single sign-on, by OpenID Connect ------------------------------------------------------
OIDC_SERVER_URL = _env.str("OIDC_SERVER_URL", default="")
OIDC_NAME = _env.str("OIDC_NAME", default="single sign-on")
# Whether the provider has asked for a second factor already.
OIDC_HAS_SECOND_FACTOR = _env.bool("OIDC_HAS_SECOND_FACTOR", default=False)
OIDC_PROVIDER_ID = "sso"
if OIDC_SERVER_URL:
    if _PRODUCTION and not OIDC_SERVER_URL.startswith("https://"):
        raise ImproperlyConfigured("OIDC_SERVER_URL begins with https:// in production.")
    LOG_IN_APPS += ["allauth.socialaccount", "allauth.socialaccount.providers.openid_connect"]
    SOCIALACCOUNT_ADAPTER = "accounts.single_sign_on.SignOnAdapter"
    SOCIALACCOUNT_AUTO_SIGNUP = False
    SOCIALACCOUNT_STORE_TOKENS = False
    SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {
        "openid_connect": {
            "OAUTH_PKCE_ENABLED": True,
            "APPS": [
                {
                    "provider_id": OIDC_PROVIDER_ID,
                    "name": OIDC_NAME,
                    "client_id": _env.str("OIDC_CLIENT_ID"),
                    "secret": _env.str("OIDC_CLIENT_SECRET"),
                    "settings": {"server_url": OIDC_SERVER_URL},
                }
            ],
        }
    }

"""Every page of the log-in, below /admin/. Of allauth's own addresses no other one is there: no
sign-up, no e-mail confirmation, no password reset by e-mail."""

from django.conf import settings
from django.urls import URLPattern, path

from accounts import security_keys, views

urlpatterns: list[URLPattern] = [
    path("login/", views.LogInView.as_view(), name="account_login"),
    path("login/code/", views.CodeView.as_view(), name="mfa_authenticate"),
    path("login/set-up/", views.FirstSetUpView.as_view(), name="set_up_second_factor"),
    path("confirm/", views.PasswordAgainView.as_view(), name="account_reauthenticate"),
    path("confirm/code/", views.CodeAgainView.as_view(), name="mfa_reauthenticate"),
    # in place of the admin's own, which counts no tries and lists no sessions
    path("password_change/", views.ChangePasswordView.as_view(), name="change_password"),
    path("sessions/", views.SessionsView.as_view(), name="usersessions_list"),
    path("second-factor/", views.SecondFactorView.as_view(), name="mfa_index"),
    path("second-factor/set-up/", views.SetUpView.as_view(), name="mfa_activate_totp"),
    path("second-factor/remove/", views.RemoveView.as_view(), name="mfa_deactivate_totp"),
    path(
        "second-factor/recovery-codes/",
        views.RecoveryCodesView.as_view(),
        name="mfa_view_recovery_codes",
    ),
    path(
        "second-factor/recovery-codes/new/",
        views.NewRecoveryCodesView.as_view(),
        name="mfa_generate_recovery_codes",
    ),
]

if settings.SECURITY_KEYS:
    urlpatterns += [
        path("second-factor/keys/", security_keys.KeyListView.as_view(), name="mfa_list_webauthn"),
        path(
            "second-factor/keys/add/", security_keys.AddKeyView.as_view(), name="mfa_add_webauthn"
        ),
        path(
            "second-factor/keys/<int:pk>/remove/",
            security_keys.RemoveKeyView.as_view(),
            name="mfa_remove_webauthn",
        ),
        path(
            "confirm/key/",
            security_keys.KeyAgainView.as_view(),
            name="mfa_reauthenticate_webauthn",
        ),
    ]

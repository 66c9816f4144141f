"""The addresses of signing in, of people's own account, and of the language."""

from django.urls import path

from gateway.signin.views.account import account, end_own_session, new_recovery_codes, remove_factor
from gateway.signin.views.enrolment import enrolment, new_app, new_passkey, new_passkey_options
from gateway.signin.views.language import choose_language
from gateway.signin.views.passkeys import passkey_options, sign_in_by_passkey
from gateway.signin.views.second_factor import second_factor
from gateway.signin.views.sign_in import SignIn
from gateway.signin.views.single_sign_on import single_sign_on, single_sign_on_callback

urlpatterns = [
    path("login/", SignIn.as_view(), name="sign-in"),
    path("login/passkey/", sign_in_by_passkey, name="passkey-sign-in"),
    path("login/passkey/options", passkey_options, name="passkey-options"),
    path("login/second-factor/", second_factor, name="second-factor"),
    path("login/enrolment/", enrolment, name="enrolment"),
    path("login/sso/", single_sign_on, name="single-sign-on"),
    path("login/sso/callback", single_sign_on_callback, name="single-sign-on-callback"),
    path("account/", account, name="account"),
    path("account/app/", new_app, name="new-app"),
    path("account/passkey/", new_passkey, name="new-passkey"),
    path("account/passkey/options", new_passkey_options, name="new-passkey-options"),
    path("account/remove", remove_factor, name="remove-factor"),
    path("account/recovery-codes", new_recovery_codes, name="new-recovery-codes"),
    path("account/sessions/<int:number>/end", end_own_session, name="end-session"),
    path("language/", choose_language, name="choose-language"),
]

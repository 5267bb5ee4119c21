"""Who may send as whom: reject_*_sender_login_mismatch with smtpd_sender_login_maps (postconf(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tayori.config.origin import Origin
from tayori.policy.answers import Answer, Refusal, lookup_failed
from tayori.policy.rule import Function, Rule
from tayori.rewrite.keys import Finder
from tayori.rewrite.results import AddressClass, Deferred
from tayori.rewrite.routes import Routes
from tayori.tables.maps import Maps

if TYPE_CHECKING:
    from tayori.policy.compile import Compiler
    from tayori.policy.evaluate import Evaluation


class Owners:
    """`prepared`: the owners of sender addresses. `enabled`: smtpd_sasl_auth_enable."""

    __slots__ = ("_finder", "_maps", "_routes", "enabled")

    def __init__(self, compiler: Compiler, argument: str, origin: Origin | None) -> None:
        del argument, origin
        settings, classes = compiler.settings, compiler.services.classes

        async def is_local(domain: str) -> bool | Deferred:
            found = await classes.classify(domain)
            return found if isinstance(found, Deferred) else found.kind is AddressClass.LOCAL

        self.enabled = settings.flag("smtpd_sasl_auth_enable")
        self._routes = Routes(settings, classes)
        self._finder = Finder(settings, is_local)
        place = settings.origin("smtpd_sender_login_maps")
        self._maps = Maps(
            compiler.services.tables.open(name, place) for name in settings.items("smtpd_sender_login_maps")
        )

    async def of(self, sender: str) -> tuple[str, ...] | Deferred | None:
        """Login names that own the address; None when nobody is named."""
        followed = await self._routes.follow(sender)
        if isinstance(followed, Deferred):
            return followed
        hit = await self._finder.find(self._maps, followed.address)
        if hit is None or isinstance(hit, Deferred):
            return hit
        return tuple(hit.found.value.replace(",", " ").split())


def login_mismatch(with_login: bool, without_login: bool, known_only: bool) -> Function:
    """The restriction for sessions with a login, without one, or both; `known_only`: only owned addresses."""

    async def check(run: Evaluation, rule: Rule) -> Answer:
        sender, login = run.facts.sender, run.facts.login
        owners: Owners = rule.prepared
        if not sender or not owners.enabled or not (with_login if login is not None else without_login):
            return None
        found = await owners.of(sender)
        if isinstance(found, Deferred):
            return lookup_failed(sender, found.why)
        run.note(f"{sender} in smtpd_sender_login_maps", "nobody" if found is None else " ".join(found))
        prefix = f"<{sender}>: Sender address rejected: "
        if login is None:
            return Refusal(553, "5.7.1", prefix + "not logged in") if found is not None else None
        if found is None and known_only:
            return None
        mine = {name.lower() for name in found or ()}
        if login.username.lower() in mine:
            return None
        return Refusal(553, "5.7.1", f"{prefix}not owned by user {login.username}")

    return check

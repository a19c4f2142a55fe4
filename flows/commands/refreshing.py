"""`cookbook refresh`: the daily refresh of the effects in service, from a shell."""

from rich.console import Console

from flows.commands.options import DOMAIN, PROFILE, PROJECT, STORE, Domain, Profile, Root, Store


def refresh(
    *,
    profile: Profile = PROFILE,
    domain: Domain = DOMAIN,
    root: Root = PROJECT,
    store: Store = STORE,
) -> None:
    """Teach the effects in service what members clicked since; promote them if they do not lose.

    Reads impressions newer than those the effects learned from. The student is not touched.
    """
    from flows.profiles import profile as find_profile
    from tasks.core.domain.paths import find_domain

    settings = find_profile(profile)
    find_domain(domain, root)

    from flows.local_server import check_server, hide_run_logs, prefect_server
    from flows.progress import RunProgress

    console = Console()
    with prefect_server() as address:
        from flows.personalize import refresh as refresh_flow
        from flows.personalize import refresh_line
        from tasks.run import listening

        check_server(address)
        hide_run_logs()
        with RunProgress(console) as progress, listening(progress):
            found = refresh_flow(settings, domain=domain, root=root, store=store)
    console.print(refresh_line(found), markup=False, highlight=False, style="bold")

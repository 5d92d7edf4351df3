"""The routes of accounts."""

from litestar import Router

from gateway.accounts import auth_endpoints, people_endpoints, profile_endpoints, setup_endpoints, token_endpoints

ROUTERS = [
    Router(
        "/",
        route_handlers=[
            setup_endpoints.read_setup,
            auth_endpoints.sign_up,
            auth_endpoints.log_in,
            auth_endpoints.log_out,
            auth_endpoints.list_sessions,
            auth_endpoints.end_session,
            auth_endpoints.end_other_sessions,
            token_endpoints.list_scopes,
            token_endpoints.list_tokens,
            token_endpoints.create_token,
            token_endpoints.revoke_token,
            profile_endpoints.read_profile,
            profile_endpoints.change_profile,
            profile_endpoints.delete_account,
            profile_endpoints.change_password,
            people_endpoints.list_users,
            people_endpoints.read_user,
            people_endpoints.list_standings,
            people_endpoints.change_standing,
        ],
    )
]

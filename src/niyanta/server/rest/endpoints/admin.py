"""The admin API: workers, customers and their keys."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from niyanta.domain.workers import WorkerStatus
from niyanta.domain.workload import Actor, ActorType
from niyanta.errors import ConflictError, NotFoundError
from niyanta.server.fleet.registration import WorkerService
from niyanta.server.rest.bodies import admin as bodies
from niyanta.server.rest.bodies.account import CustomerAnswer
from niyanta.server.rest.endpoints.customers import customer_body
from niyanta.server.rest.endpoints.paging import PAGE, AdminPage, note
from niyanta.server.rest.frame.operation import Access, Call, Operation
from niyanta.server.rest.frame.parameters import Choice
from niyanta.server.rest.frame.responses import json_response, timestamp
from niyanta.server.services.administration import AdminService
from niyanta.server.services.cursors import Cursors
from niyanta.server.store.customers import ApiKey
from niyanta.server.store.workers import ListedWorker, StandingOrder

__all__ = ["AdminRoutes"]

_TAG = "Admin"
_CUSTOMERS = "/v1/admin/customers"
_ONE_CUSTOMER = _CUSTOMERS + "/{customer_id}"
_KEYS = _ONE_CUSTOMER + "/api-keys"
_WORKERS = "/v1/admin/workers"
_ONE_WORKER = _WORKERS + "/{worker_id}"

STATUS = Choice("status", "Only workers in this status.", tuple(WorkerStatus))


class AdminRoutes:
    """For keys with the admin role."""

    def __init__(self, administration: AdminService, workers: WorkerService, cursors: Cursors) -> None:
        self._administration = administration
        self._cursors = cursors
        self._workers = workers

    async def _customer_exists(self, call: Call) -> None:
        await self._administration.customer(call.path_id("customer_id"))

    @Operation(
        method="POST",
        path=_CUSTOMERS,
        operation_id="createCustomer",
        summary="Add a customer",
        tag=_TAG,
        access=Access.ADMIN,
        body=bodies.CreateCustomerRequest,
        answer=CustomerAnswer,
        status=201,
        headers=("Location",),
        errors=(ConflictError,),
    )
    async def create_customer(self, call: Call) -> Response:
        """201 with the whole customer."""
        body: bodies.CreateCustomerRequest = call.body
        made = await self._administration.create_customer(
            body.name, body.customer_id, body.tier, _limits(body.limits)
        )
        note("admin.customer_created", call, customer_id=made.customer_id)
        return json_response(customer_body(made), 201, {"Location": f"{_CUSTOMERS}/{made.customer_id}"})

    @Operation(
        method="GET",
        path=_CUSTOMERS,
        operation_id="listCustomers",
        summary="List customers, oldest first",
        tag=_TAG,
        access=Access.ADMIN,
        query=PAGE,
        answer=bodies.CustomersAnswer,
    )
    async def list_customers(self, call: Call) -> Response:
        """A page of them."""
        page = AdminPage.read(call, self._cursors, "customers")
        found, total = await self._administration.customers(page.limit + 1, skip=page.offset, after=page.after)
        pagination = page.pagination([customer.customer_id for customer in found], total)
        return json_response(bodies.CustomersAnswer([customer_body(c) for c in found[: page.limit]], pagination))

    @Operation(
        method="GET",
        path=_ONE_CUSTOMER,
        operation_id="getCustomerById",
        summary="Get one customer",
        tag=_TAG,
        access=Access.ADMIN,
        answer=CustomerAnswer,
        errors=(NotFoundError,),
        exists=_customer_exists,
    )
    async def get_customer(self, call: Call) -> Response:
        """One of them."""
        return json_response(customer_body(await self._administration.customer(call.path_id("customer_id"))))

    @Operation(
        method="PATCH",
        path=_ONE_CUSTOMER,
        operation_id="updateCustomer",
        summary="Change a customer's name, tier, limits or status",
        tag=_TAG,
        access=Access.ADMIN,
        body=bodies.UpdateCustomerRequest,
        answer=CustomerAnswer,
        errors=(NotFoundError,),
        exists=_customer_exists,
    )
    async def update_customer(self, call: Call) -> Response:
        """The whole customer as it is now."""
        body: bodies.UpdateCustomerRequest = call.body
        changed = await self._administration.update_customer(
            call.path_id("customer_id"),
            name=body.name,
            tier=body.tier,
            status=body.status,
            limits=_limits(body.limits),
        )
        fields = [name for name in body.__struct_fields__ if getattr(body, name) is not None]
        note("admin.customer_changed", call, customer_id=changed.customer_id, fields=fields)
        return json_response(customer_body(changed))

    @Operation(
        method="POST",
        path=_KEYS,
        operation_id="createApiKey",
        summary="Make an API key; it is shown this once",
        tag=_TAG,
        access=Access.ADMIN,
        body=bodies.CreateKeyRequest,
        answer=bodies.KeyAnswer,
        status=201,
        errors=(NotFoundError,),
        exists=_customer_exists,
    )
    async def create_key(self, call: Call) -> Response:
        """201 with the key itself."""
        body: bodies.CreateKeyRequest = call.body
        made, api_key = await self._administration.create_key(
            call.path_id("customer_id"), body.name, body.role, body.expires_at, body.scopes
        )
        note("admin.key_created", call, customer_id=made.customer_id, key_id=made.key_id, role=made.role)
        return json_response(_new_key(made, api_key), 201)

    @Operation(
        method="POST",
        path=_KEYS + "/{key_id}/rotate",
        operation_id="rotateApiKey",
        summary="Make a key that takes the place of another, which stays good for a while",
        tag=_TAG,
        access=Access.ADMIN,
        body=bodies.RotateKeyRequest,
        body_required=False,
        answer=bodies.KeyAnswer,
        status=201,
        errors=(NotFoundError,),
        exists=_customer_exists,
    )
    async def rotate_key(self, call: Call) -> Response:
        """201 with the new key itself."""
        body: bodies.RotateKeyRequest = call.body or bodies.RotateKeyRequest()
        key_id = call.path_id("key_id")
        made, api_key = await self._administration.rotate_key(
            call.path_id("customer_id"), key_id, body.overlap_seconds
        )
        note("admin.key_rotated", call, customer_id=made.customer_id, key_id=key_id, new_key_id=made.key_id)
        return json_response(_new_key(made, api_key), 201)

    @Operation(
        method="GET",
        path=_KEYS,
        operation_id="listApiKeys",
        summary="List a customer's API keys, oldest first",
        tag=_TAG,
        access=Access.ADMIN,
        query=PAGE,
        answer=bodies.ApiKeysAnswer,
        errors=(NotFoundError,),
        exists=_customer_exists,
    )
    async def list_keys(self, call: Call) -> Response:
        """A page of them."""
        customer_id = call.path_id("customer_id")
        page = AdminPage.read(call, self._cursors, "api-keys", customer_id)
        found, total = await self._administration.keys(
            customer_id, page.limit + 1, skip=page.offset, after=page.after
        )
        pagination = page.pagination([key.key_id for key in found], total)
        return json_response(bodies.ApiKeysAnswer([_key(key) for key in found[: page.limit]], pagination))

    @Operation(
        method="DELETE",
        path=_KEYS + "/{key_id}",
        operation_id="revokeApiKey",
        summary="End an API key, or a token that was made of one, for ever",
        tag=_TAG,
        access=Access.ADMIN,
        status=204,
        errors=(NotFoundError,),
    )
    async def revoke_key(self, call: Call) -> Response:
        """204, also the second time."""
        key_id, customer_id = call.path_id("key_id"), call.path_id("customer_id")
        await self._administration.revoke_key(key_id, customer_id)
        note("admin.key_revoked", call, customer_id=customer_id, key_id=key_id)
        return Response(status_code=204)

    @Operation(
        method="GET",
        path=_WORKERS,
        operation_id="listWorkers",
        summary="List workers, by id",
        tag=_TAG,
        access=Access.ADMIN,
        query=(STATUS, *PAGE),
        answer=bodies.WorkersAnswer,
    )
    async def list_workers(self, call: Call) -> Response:
        """A page of the fleet."""
        status = STATUS.read(call.request)
        page = AdminPage.read(call, self._cursors, "workers", status or "")
        found, total = await self._workers.page(status, page.limit + 1, skip=page.offset, after=page.after)
        pagination = page.pagination([listed.worker.worker_id for listed in found], total)
        return json_response(bodies.WorkersAnswer([_worker(listed) for listed in found[: page.limit]], pagination))

    @Operation(
        method="DELETE",
        path=_ONE_WORKER,
        operation_id="removeWorker",
        summary="Take everything away from a worker at once, and don't let it come back",
        tag=_TAG,
        access=Access.ADMIN,
        status=204,
        errors=(NotFoundError,),
    )
    async def remove_worker(self, call: Call) -> Response:
        """204 once its workloads are on their way to others."""
        await self._workers.remove(call.path_id("worker_id"), _operator(call))
        return Response(status_code=204)

    @Operation(
        method="POST",
        path=_ONE_WORKER + "/undrain",
        operation_id="undrainWorker",
        summary="Take a worker's drain or removal back",
        tag=_TAG,
        access=Access.ADMIN,
        answer=bodies.UndrainAnswer,
        errors=(NotFoundError,),
    )
    async def undrain_worker(self, call: Call) -> Response:
        """The worker's status as it is now."""
        worker_id = call.path_id("worker_id")
        status = await self._workers.undrain(worker_id, _operator(call))
        return json_response(bodies.UndrainAnswer(worker_id, status))


def _operator(call: Call) -> Actor:
    return Actor(ActorType.USER, call.identity.actor_id)


def _limits(request: bodies.LimitsRequest | None) -> dict[str, float | None]:
    """The limits that were given; None for those that are to be the tier's."""
    if request is None:
        return {}
    found = {name: getattr(request, name) for name in bodies.LimitsRequest.__struct_fields__}
    return {name: value for name, value in found.items() if value is not msgspec.UNSET}


def _new_key(made: ApiKey, api_key: str) -> bodies.KeyAnswer:
    return bodies.KeyAnswer(
        key_id=made.key_id,
        api_key=api_key,
        customer_id=made.customer_id,
        name=made.name,
        role=made.role,
        scopes=list(made.scopes),
        created_at=timestamp(made.created_at),
        expires_at=timestamp(made.expires_at),
    )


def _key(key: ApiKey) -> bodies.ApiKeyRow:
    return bodies.ApiKeyRow(
        key_id=key.key_id,
        customer_id=key.customer_id,
        name=key.name,
        role=key.role,
        scopes=list(key.scopes),
        status=key.status,
        created_at=timestamp(key.created_at),
        expires_at=timestamp(key.expires_at),
        revoked_at=timestamp(key.revoked_at),
        last_used_at=timestamp(key.last_used_at),
        last_used_from=key.last_used_from,
    )


def _worker(listed: ListedWorker) -> bodies.WorkerBody:
    worker = listed.worker
    return bodies.WorkerBody(
        worker_id=worker.worker_id,
        status=worker.status,
        capabilities=[handler.workload_type for handler in worker.handlers],
        input_forms=worker.forms,
        capacity_total=worker.capacity,
        capacity_used=len(listed.workload_ids),
        tags=worker.tags,
        last_heartbeat=timestamp(worker.last_heartbeat),
        running_workloads=listed.workload_ids,
        version=worker.version,
        missing_walls=worker.missing_walls,
        customers=worker.customers,
        registered_at=timestamp(listed.worker.registered_at),
        standing_order=None if (order := listed.standing_order) is None else _standing_order(order),
    )


def _standing_order(order: StandingOrder) -> bodies.StandingOrderBody:
    return bodies.StandingOrderBody(order.kind, order.given_by, timestamp(order.given_at), order.mode)

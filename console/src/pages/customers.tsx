import { useState } from "preact/hooks";
import { call, get, post } from "../api";
import { moment, number } from "../format";
import { useLoaded } from "../live";
import { address, go } from "../router";
import type { ApiKey, Customer, Limits, Pagination } from "../types";
import { Age, Badge, Button, Card, Confirm, Empty, Field, FormDialog, Link, Options, Page, Plain, Problem, Search, Secret, Select, Skeleton, useAction } from "../ui/parts";
import { type Column, Table } from "../ui/table";
import { endOf, LIFETIMES } from "./lifetimes";
import { SCOPES, ScopeChoice, Scopes, type Token, TokenList } from "./tokens";

const TIERS = [["free", "Free"], ["standard", "Standard"], ["premium", "Premium"], ["enterprise", "Enterprise"]] as const;
const LIMITS: [keyof Limits, string][] = [
  ["max_concurrent_workloads", "Running at once"],
  ["max_queue_depth", "Waiting at most"],
  ["rate_limit_per_sec", "Calls a second"],
  ["burst", "Calls at once"],
];
const MOST_CUSTOMERS = 5000;

async function loadAll(stop: AbortSignal): Promise<Customer[]> {
  const customers: Customer[] = [];
  for (let cursor: string | null = null; ; ) {
    const page: { customers: Customer[]; pagination: Pagination } = await get("/admin/customers", { limit: 100, cursor }, stop);
    customers.push(...page.customers);
    cursor = page.pagination.next_cursor;
    if (!cursor || customers.length >= MOST_CUSTOMERS) return customers;
  }
}

const COLUMNS: Column<Customer>[] = [
  { name: "name", title: "Customer", width: "minmax(140px, 1.5fr)", show: (one) => <Link href={address(`/operate/customers/${one.customer_id}`)}>{one.name}</Link> },
  { name: "id", title: "Id", width: "minmax(120px, 1fr)", wideOnly: true, show: (one) => <span class="mono small soft">{one.customer_id}</span> },
  { name: "tier", title: "Tier", width: "96px", show: (one) => one.tier },
  { name: "status", title: "Status", width: "96px", show: (one) => <CustomerStatus status={one.status} /> },
  { name: "running", title: "Runs at once", width: "96px", end: true, wideOnly: true, show: (one) => number(one.limits.max_concurrent_workloads) },
  { name: "since", title: "Since", width: "110px", end: true, wideOnly: true, show: (one) => <Age at={one.created_at} /> },
];

function CustomerStatus({ status }: { status: string }) {
  return <Badge tone={status === "active" ? "good" : "bad"}>{status}</Badge>;
}

export function CustomersPage() {
  const { data, error, reload } = useLoaded("customers", loadAll, 30_000);
  const [wanted, setWanted] = useState("");
  const [adding, setAdding] = useState(false);
  const words = wanted.trim().toLowerCase();
  const shown = data?.filter((one) => `${one.name} ${one.customer_id} ${one.tier}`.toLowerCase().includes(words));
  return (
    <Page title="Customers" lead={data && `${number(data.length)} in all`} actions={<Button look="main" onClick={() => setAdding(true)}>Add a customer</Button>}>
      <div class="toolbar" role="search" aria-label="Filter">
        <Search label="Name, id or tier" value={wanted} onSearch={setWanted} />
      </div>
      {error && <Problem error={error} retry={reload} />}
      <div class="card">
        {!shown ? !error && <Skeleton /> : shown.length ? <Table label="Customers" columns={COLUMNS} rows={shown} keyOf={(one) => one.customer_id} total={shown.length} /> : <Empty icon="customers" title="No customer fits" />}
      </div>
      {adding && <AddCustomer onClose={() => setAdding(false)} />}
    </Page>
  );
}

function AddCustomer({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [tier, setTier] = useState("standard");
  const add = async () => {
    const made = await post<Customer>("/admin/customers", { name, tier });
    go(address(`/operate/customers/${made.customer_id}`));
  };
  return (
    <FormDialog title="Add a customer" verb="Add" work={add} onClose={onClose}>
      <Field label="Name">{(attributes) => <input {...attributes} required maxLength={200} value={name} onInput={(event) => setName(event.currentTarget.value)} />}</Field>
      <Field label="Tier" hint="Gives the limits, until the customer has some of its own.">
        {(attributes) => (
          <select {...attributes} value={tier} onChange={(event) => setTier(event.currentTarget.value)}>
            <Options value={tier} options={TIERS} />
          </select>
        )}
      </Field>
    </FormDialog>
  );
}

export function CustomerPage({ id }: { id: string }) {
  const path = `/admin/customers/${encodeURIComponent(id)}`;
  const { data, error, reload } = useLoaded(id, (stop) => get<Customer>(path, undefined, stop), 10_000);
  const [busy, act] = useAction();
  const [asked, setAsked] = useState(false);
  const change = (body: unknown, done: string) => act(() => call("PATCH", path, { body }), done).then(reload);
  const isActive = data?.status === "active";
  return (
    <Page
      title={data?.name ?? "Customer"}
      back={{ href: address("/operate/customers"), name: "Customers" }}
      lead={<span class="id">{id}</span>}
      actions={
        data && (
          <>
            <Select label="Tier" value={data.tier} options={TIERS} onChange={(tier) => void change({ tier }, `The tier is now ${tier}`)} />
            <Button look={isActive ? "danger" : "main"} disabled={busy} onClick={() => (isActive ? setAsked(true) : void change({ status: "active" }, "Served again"))}>
              {isActive ? "Suspend" : "Serve again"}
            </Button>
          </>
        )
      }
    >
      <div class="stack">
        {error && <Problem error={error} retry={reload} />}
        {data ? (
          <Card title="Limits" tools={<CustomerStatus status={data.status} />}>
            <LimitsForm key={JSON.stringify(data.limits)} limits={data.limits} busy={busy} onSave={(limits) => void change({ limits }, "The limits hold from now on")} />
          </Card>
        ) : (
          !error && <Card flush><Skeleton /></Card>
        )}
        {data && <Keys customerId={id} />}
        {data && <Tokens customerId={id} />}
      </div>
      {asked && (
        <Confirm title={`Suspend ${data!.name}?`} text="Its calls are refused from now on. What runs finishes; what waits goes on waiting." verb="Suspend" onConfirm={() => void change({ status: "suspended" }, "Suspended")} onClose={() => setAsked(false)} />
      )}
    </Page>
  );
}

function LimitsForm({ limits, busy, onSave }: { limits: Limits; busy: boolean; onSave: (limits: Limits) => void }) {
  const [draft, setDraft] = useState<Limits>(limits);
  const changed = LIMITS.some(([name]) => draft[name] !== limits[name]);
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        onSave(draft);
      }}
    >
      <div class="fields">
        {LIMITS.map(([name, title]) => (
          <Field key={name} label={title}>
            {(attributes) => <input {...attributes} type="number" required min={0} step="any" value={draft[name]} onInput={(event) => setDraft({ ...draft, [name]: Number(event.currentTarget.value) })} />}
          </Field>
        ))}
      </div>
      {changed && (
        <div class="actions">
          <Button type="submit" look="main" disabled={busy}>
            Save
          </Button>
          <Button onClick={() => setDraft(limits)}>Undo</Button>
        </div>
      )}
    </form>
  );
}

type KeyAsked = { what: "make" } | { what: "end" | "rotate"; key: ApiKey };

function Keys({ customerId }: { customerId: string }) {
  const path = `/admin/customers/${encodeURIComponent(customerId)}/api-keys`;
  const { data, error, reload } = useLoaded(path, (stop) => get<{ api_keys: ApiKey[] }>(path, { limit: 100 }, stop), 30_000);
  const [asked, setAsked] = useState<KeyAsked>();
  const [made, setMade] = useState("");
  const close = () => setAsked(undefined);
  return (
    <Card title="API keys" flush tools={<Button onClick={() => setAsked({ what: "make" })}>Make a key</Button>}>
      {error && <Problem error={error} />}
      {data?.api_keys.length ? (
        <Plain label="API keys" heads={[["Name"], ["Good for"], ["Status"], ["Last used"], ["Ends"], ["", "end"]]}>
          {data.api_keys.map((key) => (
            <tr key={key.key_id}>
              <td>
                {key.name}
                <div class="mono faint small">{key.key_id}</div>
              </td>
              <td>
                <Scopes of={key.scopes} />
              </td>
              <td>
                <Badge tone={key.status === "active" ? "good" : ""}>{key.status}</Badge>
              </td>
              <td class="nowrap">
                <Age at={key.last_used_at} />
                <div class="faint small">{key.last_used_from}</div>
              </td>
              <td class="nowrap">{key.expires_at ? moment(key.expires_at) : "never"}</td>
              <td class="end nowrap">
                {key.status === "active" && (
                  <div class="actions">
                    <Button look="plain" onClick={() => setAsked({ what: "rotate", key })}>
                      Rotate
                    </Button>
                    <Button look="danger" aria-label={`End ${key.name}`} onClick={() => setAsked({ what: "end", key })}>
                      End
                    </Button>
                  </div>
                )}
              </td>
            </tr>
          ))}
        </Plain>
      ) : data ? (
        <Empty icon="keys" title="It has no key" />
      ) : (
        !error && <Skeleton />
      )}
      {asked?.what === "end" && (
        <Confirm title={`End the key ${asked.key.name}?`} text="Whoever uses it is refused from now on, also with tokens that were made of it. It can't be taken back." verb="End it" onConfirm={() => call("DELETE", `${path}/${asked.key.key_id}`).then(reload)} done="The key is ended" onClose={close} />
      )}
      {asked?.what === "rotate" && <RotateKey path={`${path}/${asked.key.key_id}/rotate`} name={asked.key.name} onClose={close} onMade={setMade} />}
      {asked?.what === "make" && <MakeKey path={path} onClose={close} onMade={setMade} />}
      {made && (
        <Secret
          what="API key"
          text={made}
          onClose={() => {
            setMade("");
            reload();
          }}
        />
      )}
    </Card>
  );
}

function Tokens({ customerId }: { customerId: string }) {
  const path = `/admin/customers/${encodeURIComponent(customerId)}/tokens`;
  const { data, error, reload } = useLoaded(path, (stop) => get<{ tokens: Token[] }>(path, { limit: 100 }, stop), 30_000);
  return (
    <Card title="Tokens of its keys" flush>
      {error ? <Problem error={error} retry={reload} /> : <TokenList tokens={data?.tokens} />}
    </Card>
  );
}

interface MadeProps {
  path: string;
  onMade: (key: string) => void;
  onClose: () => void;
}

const OVERLAPS = [["0", "At once"], ["3600", "In an hour"], ["86400", "In a day"], ["604800", "In a week"]] as const;

function RotateKey({ path, name, onMade, onClose }: MadeProps & { name: string }) {
  const [overlap, setOverlap] = useState("86400");
  const rotate = async () => onMade((await post<{ api_key: string }>(path, { overlap_seconds: Number(overlap) })).api_key);
  return (
    <FormDialog title={`Rotate the key ${name}`} verb="Rotate it" work={rotate} onClose={onClose}>
      <p class="soft">A new key is made that is good for the same. Give it to whoever uses the old one.</p>
      <Field label="The old one ends">
        {(attributes) => (
          <select {...attributes} value={overlap} onChange={(event) => setOverlap(event.currentTarget.value)}>
            <Options value={overlap} options={OVERLAPS} />
          </select>
        )}
      </Field>
    </FormDialog>
  );
}

function MakeKey({ path, onClose, onMade }: MadeProps) {
  const [name, setName] = useState("");
  const [days, setDays] = useState("");
  const all = SCOPES.map(([scope]) => scope as string);
  const [chosen, setChosen] = useState(all.filter((scope) => scope !== "admin"));
  const make = async () => {
    if (!chosen.length) throw new Error("Choose what it may do.");
    const role = chosen.includes("admin") ? "admin" : "customer";
    onMade((await post<{ api_key: string }>(path, { name, role, scopes: chosen, ...endOf(days) })).api_key);
  };
  return (
    <FormDialog title="Make an API key" verb="Make it" work={make} onClose={onClose}>
      <Field label="Name" hint="What it is for.">
        {(attributes) => <input {...attributes} required maxLength={200} value={name} onInput={(event) => setName(event.currentTarget.value)} />}
      </Field>
      <ScopeChoice may={all} chosen={chosen} onChange={setChosen} />
      <Field label="Ends">
        {(attributes) => (
          <select {...attributes} value={days} onChange={(event) => setDays(event.currentTarget.value)}>
            <Options value={days} options={LIFETIMES} />
          </select>
        )}
      </Field>
    </FormDialog>
  );
}

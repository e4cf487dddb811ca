/** What lets workers join. */
import { useState } from "preact/hooks";
import { call, get, post } from "../api";
import { moment } from "../format";
import { useParts } from "../live";
import type { Pagination } from "../types";
import { tagsOf } from "../ui/affinity";
import { Age, Badge, Button, Confirm, Empty, Field, FormDialog, More, Options, Page, Plain, Problem, Secret, Skeleton } from "../ui/parts";
import { endOf, LIFETIMES } from "./lifetimes";

const PATH = "/admin/join-tokens";

interface JoinToken {
  token_id: string;
  name: string;
  worker_pattern: string;
  workload_types: string[];
  tags: Record<string, string>;
  /** The only ones whose workloads its workers get; everybody's when empty. */
  customers: string[];
  status: "active" | "expired" | "revoked";
  created_at: string;
  expires_at: string | null;
}

export function JoinTokensPage() {
  const { rows, error, reload, more, busy } = useParts<JoinToken>("join tokens", async (cursor, stop) => {
    const { join_tokens, pagination } = await get<{ join_tokens: JoinToken[]; pagination: Pagination }>(PATH, { limit: 50, cursor }, stop);
    return { rows: join_tokens, next: pagination.next_cursor };
  });
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState("");
  const [ending, setEnding] = useState<JoinToken>();
  return (
    <Page title="Join tokens" lead="A worker needs one to join, and may then be what it says." actions={<Button look="main" onClick={() => setMaking(true)}>Make a join token</Button>}>
      {error && <Problem error={error} retry={reload} />}
      <div class="card">
        {!rows ? (
          !error && <Skeleton lines={6} />
        ) : rows.length ? (
          <Plain label="Join tokens" heads={[["Name"], ["Workers"], ["Types"], ["Tags"], ["Customers"], ["Status"], ["Made"], ["Ends"], ["", "end"]]}>
            {rows.map((token) => (
              <tr key={token.token_id}>
                <td>
                  {token.name}
                  <div class="mono faint small">{token.token_id}</div>
                </td>
                <td class="mono small">{token.worker_pattern}</td>
                <td>{token.workload_types.length ? <Chips of={token.workload_types} /> : <span class="faint">every type</span>}</td>
                <td>{Object.keys(token.tags).length ? <Chips of={Object.entries(token.tags).map(([name, value]) => `${name}=${value}`)} /> : <span class="faint">any</span>}</td>
                <td>{token.customers.length ? <Chips of={token.customers} /> : <span class="faint">everybody</span>}</td>
                <td>
                  <Badge tone={token.status === "active" ? "good" : ""}>{token.status}</Badge>
                </td>
                <td class="nowrap">
                  <Age at={token.created_at} />
                </td>
                <td class="nowrap">{token.expires_at ? moment(token.expires_at) : "never"}</td>
                <td class="end">
                  {token.status === "active" && (
                    <Button look="danger" aria-label={`End ${token.name}`} onClick={() => setEnding(token)}>
                      End
                    </Button>
                  )}
                </td>
              </tr>
            ))}
          </Plain>
        ) : (
          <Empty icon="keys" title="There is no join token" />
        )}
        {more && <More busy={busy} onMore={more} />}
      </div>
      {making && <Make onClose={() => setMaking(false)} onMade={setMade} />}
      {made && (
        <Secret
          what="join token"
          text={made}
          onClose={() => {
            setMade("");
            reload();
          }}
        />
      )}
      {ending && (
        <Confirm
          title={`End the join token ${ending.name}?`}
          text="Workers that joined with it are let go, and what they run goes on elsewhere from the last checkpoints. It can't be taken back."
          verb="End it"
          onConfirm={() => call("DELETE", `${PATH}/${ending.token_id}`).then(reload)}
          done="The join token is ended"
          onClose={() => setEnding(undefined)}
        />
      )}
    </Page>
  );
}

function Chips({ of }: { of: string[] }) {
  return (
    <span class="chips">
      {of.map((text) => (
        <span class="chip" key={text}>
          {text}
        </span>
      ))}
    </span>
  );
}

const listOf = (text: string) => text.split(",").map((one) => one.trim()).filter(Boolean);

function Make({ onClose, onMade }: { onClose: () => void; onMade: (token: string) => void }) {
  const [name, setName] = useState("");
  const [pattern, setPattern] = useState("*");
  const [types, setTypes] = useState("");
  const [tags, setTags] = useState("");
  const [customers, setCustomers] = useState("");
  const [days, setDays] = useState("");
  const make = async () => {
    const body = {
      name,
      worker_pattern: pattern,
      workload_types: listOf(types),
      customers: listOf(customers),
      tags: tagsOf(tags, "Tags") ?? {},
      ...endOf(days),
    };
    onMade((await post<{ join_token: string }>(PATH, body)).join_token);
  };
  return (
    <FormDialog title="Make a join token" verb="Make it" wide work={make} onClose={onClose}>
      <div class="fields">
        <Field label="Name" hint="What it is for.">
          {(attributes) => <input {...attributes} required maxLength={200} value={name} onInput={(event) => setName(event.currentTarget.value)} />}
        </Field>
        <Field label="Ends">
          {(attributes) => (
            <select {...attributes} value={days} onChange={(event) => setDays(event.currentTarget.value)}>
              <Options value={days} options={LIFETIMES} />
            </select>
          )}
        </Field>
        <Field label="Workers" hint="What their ids look like; * stands for any characters.">
          {(attributes) => <input {...attributes} required spellcheck={false} value={pattern} onInput={(event) => setPattern(event.currentTarget.value)} />}
        </Field>
        <Field label="Types (optional)" hint="All that they may serve, with commas between; empty: every type.">
          {(attributes) => <input {...attributes} spellcheck={false} value={types} onInput={(event) => setTypes(event.currentTarget.value)} />}
        </Field>
        <Field label="Tags (optional)" hint="All that they may have, as region=eu; empty: any.">
          {(attributes) => <input {...attributes} spellcheck={false} value={tags} onInput={(event) => setTags(event.currentTarget.value)} />}
        </Field>
        <Field label="Customers (optional)" hint="The ids of the only ones whose workloads they get; empty: everybody's.">
          {(attributes) => <input {...attributes} spellcheck={false} value={customers} onInput={(event) => setCustomers(event.currentTarget.value)} />}
        </Field>
      </div>
    </FormDialog>
  );
}

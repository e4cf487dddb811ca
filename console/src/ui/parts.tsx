/** The small parts that every page is made of. */
import { signal } from "@preact/signals";
import { cloneElement, toChildArray, type ComponentChildren, type JSX, type VNode } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { ApiError } from "../api";
import { ago, moment, shortId } from "../format";
import { useNow } from "../live";
import { address, go } from "../router";
import type { Status } from "../types";
import { Icon, type IconName } from "./icon";

/** A link within the console. `href` is what `address` made. */
export function Link({ href, children, onClick, ...rest }: JSX.AnchorHTMLAttributes<HTMLAnchorElement> & { href: string }) {
  return (
    <a
      href={href}
      {...rest}
      onClick={(event) => {
        if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        onClick?.(event);
        go(href);
      }}
    >
      {children}
    </a>
  );
}

interface PageProps {
  title: string;
  /** What is shown in place of the title. */
  heading?: ComponentChildren;
  lead?: ComponentChildren;
  back?: { href: string; name: string };
  actions?: ComponentChildren;
  children: ComponentChildren;
}

/** A page: its heading gets the focus when it is come to, so that a screen reader says where one is. */
export function Page({ title, heading, lead, back, actions, children }: PageProps) {
  const head = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · Niyanta`;
  }, [title]);
  useEffect(() => head.current?.focus({ preventScroll: true }), []);
  return (
    <>
      <div class="page-head">
        <div>
          {back && (
            <Link class="crumb" href={back.href}>
              ← {back.name}
            </Link>
          )}
          <h1 ref={head} tabIndex={-1}>
            {heading ?? title}
          </h1>
          {lead && <p>{lead}</p>}
        </div>
        {actions && <div class="actions">{actions}</div>}
      </div>
      {children}
    </>
  );
}

export function Card({ title, tools, children, flush = false }: { title?: string; tools?: ComponentChildren; children: ComponentChildren; flush?: boolean }) {
  const id = useId();
  return (
    <section class="card" {...(title ? { "aria-labelledby": id } : {})}>
      {title && (
        <div class="card-head">
          <h2 id={id}>{title}</h2>
          {tools}
        </div>
      )}
      {flush ? children : <div class="card-body">{children}</div>}
    </section>
  );
}

type ButtonProps = Omit<JSX.ButtonHTMLAttributes<HTMLButtonElement>, "icon"> & {
  look?: "main" | "danger" | "plain" | undefined;
  icon?: IconName;
  /** With an icon alone, what a screen reader says. */
  label?: string;
};

export function Button({ look, icon, label, children, class: extra, ...rest }: ButtonProps) {
  const bare = icon && !children;
  return (
    <button type="button" class={["button", look, bare && "icon", extra].filter(Boolean).join(" ")} aria-label={label} title={bare ? label : undefined} {...rest}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

const TONES: Record<Status, string> = {
  PENDING: "",
  SCHEDULED: "tone-run",
  RUNNING: "tone-run live",
  PAUSED: "tone-warn",
  REDISTRIBUTING: "tone-move",
  COMPLETED: "tone-good",
  FAILED: "tone-bad",
  CANCELLED: "",
};

export const STATUS_WORDS: Record<Status, string> = {
  PENDING: "Waiting",
  SCHEDULED: "Starting",
  RUNNING: "Running",
  PAUSED: "Paused",
  REDISTRIBUTING: "Moving",
  COMPLETED: "Completed",
  FAILED: "Failed",
  CANCELLED: "Cancelled",
};

export function StatusBadge({ status }: { status: Status }) {
  return (
    <span class={`badge ${TONES[status]}`} title={status}>
      {STATUS_WORDS[status] ?? status}
    </span>
  );
}

export function Badge({ tone = "", children }: { tone?: "" | "good" | "bad" | "warn" | "run" | "move"; children: ComponentChildren }) {
  return <span class={`badge no-dot ${tone && `tone-${tone}`}`}>{children}</span>;
}

export function Progress({ value, status }: { value: number; status: Status }) {
  const look = status === "COMPLETED" ? "good" : status === "FAILED" ? "bad" : status === "CANCELLED" ? "quiet" : "";
  return (
    <span class="progress">
      <span class="bar" role="progressbar" aria-label="Progress" aria-valuenow={value} aria-valuemin={0} aria-valuemax={100}>
        <i class={look} style={{ width: `${value}%` }} />
      </span>
      <span aria-hidden="true">{value} %</span>
    </span>
  );
}

/** How much of something there is; it warns when that comes near the most, unless it is `quiet`. */
export function Meter({ value, most, label, quiet = false }: { value: number; most: number; label: string; quiet?: boolean }) {
  const share = most ? Math.min(1, value / most) : 0;
  return (
    <div class="bar" role="meter" aria-label={label} aria-valuenow={Math.min(value, most)} aria-valuemin={0} aria-valuemax={most}>
      <i class={quiet ? (share >= 1 ? "good" : "") : share >= 1 ? "bad" : share > 0.8 ? "warn" : ""} style={{ width: `${100 * share}%` }} />
    </div>
  );
}

/** A time as an age; the exact one is in its title. */
export function Age({ at }: { at: string | null | undefined }) {
  const now = useNow();
  if (!at) return <span class="faint">–</span>;
  return (
    <time dateTime={at} title={moment(at)}>
      {ago(at, now)}
    </time>
  );
}

export function WorkloadLink({ id, short = true }: { id: string; short?: boolean }) {
  return (
    <Link class="id" href={address(`/workloads/${id}`)} title={id}>
      {short ? shortId(id) : id}
    </Link>
  );
}

export function Note({ kind = "", children }: { kind?: "" | "bad" | "warn"; children: ComponentChildren }) {
  return (
    <div class={`note ${kind}`} role={kind === "bad" ? "alert" : undefined}>
      <Icon name={kind ? "failures" : "info"} />
      <div>{children}</div>
    </div>
  );
}

/** What went wrong, with what can be done. */
export function Problem({ error, retry }: { error: ApiError; retry?: () => void }) {
  return (
    <Note kind="bad">
      <b>{error.status === 404 ? "There is nothing here. " : error.status === 403 ? "You may not see this. " : ""}</b>
      {error.message}
      {error.requestId && <span class="faint small"> (request {error.requestId})</span>}
      {retry && (
        <>
          {" "}
          <Button look="plain" onClick={retry}>
            Try again
          </Button>
        </>
      )}
    </Note>
  );
}

export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={icon} size={28} />
      <h3>{title}</h3>
      {children}
    </div>
  );
}

export function Skeleton({ lines = 4 }: { lines?: number }) {
  return (
    <div class="card-body stack" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, line) => (
        <span class="bone" key={line} style={{ width: `${92 - ((line * 23) % 45)}%` }} />
      ))}
    </div>
  );
}

interface FieldProps {
  label: string;
  hint?: ComponentChildren | undefined;
  problem?: string | undefined;
  class?: string;
  children: (attributes: { id: string; "aria-describedby": string | undefined; "aria-invalid": boolean }) => ComponentChildren;
}

/** A label, its control, a hint and what is wrong with what was given. */
export function Field({ label, hint, problem, class: extra = "", children }: FieldProps) {
  const id = useId();
  const described = [hint && `${id}-hint`, problem && `${id}-problem`].filter(Boolean).join(" ");
  return (
    <div class={`field ${extra}`}>
      <label for={id}>{label}</label>
      {children({ id, "aria-describedby": described || undefined, "aria-invalid": Boolean(problem) })}
      {hint && (
        <span class="hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
      {problem && (
        <span class="problem" id={`${id}-problem`}>
          {problem}
        </span>
      )}
    </div>
  );
}

interface DialogProps {
  title: string;
  onClose: () => void;
  /** For what needs room. */
  wide?: boolean;
  children: ComponentChildren;
}

export function Dialog({ title, onClose, wide = false, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class={wide ? "wide" : ""} aria-labelledby={id} onClose={onClose}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

interface FormDialogProps extends DialogProps {
  verb: string;
  look?: "main" | "danger";
  /** What it is for; what is thrown is shown, and the dialog stays. */
  work: () => unknown;
  /** Said when it is done. */
  done?: string;
}

/** A dialog that does one thing, and closes when that is done. */
export function FormDialog({ title, verb, look = "main", wide = false, work, done, onClose, children }: FormDialogProps) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem("");
    try {
      await work();
      if (done) say(done);
      onClose();
    } catch (error) {
      setProblem((error as Error).message);
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} wide={wide} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        {children}
        {problem && <Note kind="bad">{problem}</Note>}
        <div class="actions">
          <Button onClick={onClose}>Back</Button>
          <Button type="submit" look={look} disabled={busy}>
            {verb}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** Asks before something is done that can't be taken back. */
export function Confirm({ title, text, verb, danger = true, onConfirm, done, onClose, children }: { title: string; text: string; verb: string; danger?: boolean; onConfirm: () => unknown; done?: string; onClose: () => void; children?: ComponentChildren }) {
  return (
    <FormDialog title={title} verb={verb} look={danger ? "danger" : "main"} work={onConfirm} {...(done ? { done } : {})} onClose={onClose}>
      <p class="soft">{text}</p>
      {children}
    </FormDialog>
  );
}

interface ToastText {
  id: number;
  text: string;
  bad: boolean;
}

const toasts = signal<ToastText[]>([]);
let lastToast = 0;

/** Say something for a few seconds; screen readers say it, too. */
export function say(text: string, bad = false): void {
  const id = ++lastToast;
  toasts.value = [...toasts.value.slice(-3), { id, text, bad }];
  setTimeout(() => dropToast(id), bad ? 12_000 : 6000);
}

function dropToast(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((toast) => (
        <div class={`toast ${toast.bad ? "bad" : ""}`} key={toast.id}>
          <span>{toast.text}</span>
          <Button look="plain" icon="cancel" label="Dismiss" onClick={() => dropToast(toast.id)} />
        </div>
      ))}
    </div>
  );
}

/** Runs one thing at a time, says what came of it, and tells whether it is under way. */
export function useAction(): [boolean, (work: () => Promise<unknown>, done?: string) => Promise<boolean>] {
  const [busy, setBusy] = useState(false);
  const run = async (work: () => Promise<unknown>, done?: string): Promise<boolean> => {
    setBusy(true);
    try {
      await work();
      if (done) say(done);
      return true;
    } catch (error) {
      say(error instanceof ApiError ? error.message : String(error), true);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return [busy, run];
}

export function Copy({ text, label }: { text: string; label: string }) {
  return (
    <Button
      look="plain"
      icon="copy"
      label={label}
      onClick={() => navigator.clipboard.writeText(text).then(
        () => say("Copied"),
        () => say("The browser doesn't let the console copy; select the text instead", true),
      )}
    />
  );
}

interface TabsProps {
  label: string;
  tabs: readonly (readonly [string, string])[];
  shown: string;
  onShow: (name: string) => void;
  children: ComponentChildren;
}

export function Tabs({ label, tabs, shown, onShow, children }: TabsProps) {
  const id = useId();
  const move = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!step) return;
    const at = tabs.findIndex(([name]) => name === shown);
    const next = tabs[(at + step + tabs.length) % tabs.length]!;
    onShow(next[0]);
    document.getElementById(`${id}-${next[0]}`)?.focus();
  };
  return (
    <>
      <div class="tabs" role="tablist" aria-label={label} onKeyDown={move}>
        {tabs.map(([name, title]) => (
          <button
            type="button"
            role="tab"
            key={name}
            id={`${id}-${name}`}
            aria-selected={name === shown}
            aria-controls={`${id}-panel`}
            tabIndex={name === shown ? 0 : -1}
            onClick={() => onShow(name)}
          >
            {title}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${shown}`}>
        {children}
      </div>
    </>
  );
}

export function Switch<T extends string>({ label, options, value, onChange }: { label: string; options: readonly (readonly [T, string])[]; value: T; onChange: (value: T) => void }) {
  return (
    <div class="switch" role="group" aria-label={label}>
      {options.map(([name, title]) => (
        <button type="button" key={name} aria-pressed={name === value} onClick={() => onChange(name)}>
          {title}
        </button>
      ))}
    </div>
  );
}

/** A field to search with: what stands in it is told when the typing stops. */
export function Search({ label, hint = label, value, onSearch }: { label: string; hint?: string; value: string; onSearch: (value: string) => void }) {
  const [text, setText] = useState(value);
  const told = useRef(value);
  useEffect(() => {
    if (value !== told.current) setText((told.current = value));
  }, [value]);
  useEffect(() => {
    if (text === told.current) return;
    const timer = setTimeout(() => onSearch((told.current = text.trim())), 250);
    return () => clearTimeout(timer);
  }, [text]);
  return <input class="grow" type="search" aria-label={label} placeholder={hint} spellcheck={false} autoComplete="off" value={text} onInput={(event) => setText(event.currentTarget.value)} />;
}

export function Select({ label, value = "", onChange, options }: { label: string; value?: string | undefined; onChange: (value: string) => void; options: readonly (readonly [string, string])[] }) {
  return (
    <select aria-label={label} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
      <Options value={value} options={options} />
    </select>
  );
}

/** The choices of a `select`; what it has is among them, also when it is none that is offered. */
export function Options({ value, options }: { value: string; options: readonly (readonly [string, string])[] }) {
  const all = options.some(([name]) => name === value) ? options : [...options, [value, value] as const];
  return (
    <>
      {all.map(([name, title]) => (
        <option key={name} value={name} selected={name === value}>
          {title}
        </option>
      ))}
    </>
  );
}

/** Below a list that isn't whole. */
export function More({ busy, onMore }: { busy: boolean; onMore: () => Promise<unknown> }) {
  return (
    <div class="table-foot">
      <Button look="plain" disabled={busy} onClick={() => void onMore().catch((error: Error) => say(error.message, true))}>
        {busy ? "Loading …" : "Show more"}
      </Button>
    </div>
  );
}

/** A credential that is shown this once. */
export function Secret({ what, text, onClose }: { what: string; text: string; onClose: () => void }) {
  return (
    <Dialog title={`The ${what} is made`} onClose={onClose}>
      <p class="soft">It is shown this once: keep it now.</p>
      <div class="secret">
        <code class="breaks">{text}</code>
        <Copy text={text} label={`Copy the ${what}`} />
      </div>
      <div class="actions">
        <Button look="main" onClick={onClose}>
          I have kept it
        </Button>
      </div>
    </Dialog>
  );
}

/** Names with what they are. */
export function Facts({ of }: { of: readonly (readonly [name: string, value: ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {of.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

type Heads = readonly (readonly [name: string, look?: "end"])[];

/** A table that may be wider than the screen; on a narrow one each cell stands below the other, beside its head. */
export function Plain({ label, heads, children }: { label: string; heads: Heads; children: ComponentChildren }) {
  return (
    <div class="scroll-x" role="group" aria-label={label} tabIndex={0}>
      <table class="plain" role="table">
        <thead role="rowgroup">
          <tr role="row">
            {heads.map(([name, look]) => (
              <th key={name} class={look ?? ""} role="columnheader">
                {name || <span class="hidden-text">What can be done</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">{toChildArray(children).map((row) => headed(row as VNode<RowProps>, heads))}</tbody>
      </table>
    </div>
  );
}

type RowProps = { children?: ComponentChildren };

/** A row whose cells say which head they are below, and that are a row and cells whatever they look like. */
function headed(row: VNode<RowProps>, heads: Heads) {
  const cells = toChildArray(row.props.children) as VNode<JSX.HTMLAttributes>[];
  return cloneElement(row, { role: "row" } as object, cells.map((cell, index) => cloneElement(cell, { role: "cell", "data-head": heads[index]?.[0] } as object)));
}

/** Calls of the API. The browser sends the session's cookie, which no script can read. */

export interface ErrorDetails {
  field?: string;
  allowed?: unknown;
  supported_types?: string[];
  errors?: { pointer: string; message: string }[];
  [name: string]: unknown;
}

/** An answer that is no success, in the words of the service. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: ErrorDetails = {},
    readonly requestId = "",
    /** Seconds after which it may be tried again. */
    readonly retryAfter: number | undefined = undefined,
  ) {
    super(message);
  }
}

/** Of a parameter that is given several times, a list. */
export type Query = Record<string, string | number | boolean | readonly string[] | undefined | null>;

export interface CallOptions {
  query?: Query;
  body?: unknown;
  signal?: AbortSignal | undefined;
  headers?: Record<string, string>;
}

const HEADERS = { "X-Niyanta-Console": "1" };
const ended = new Set<() => void>();

/** Have a function called when the service says that nobody is signed in. */
export function onSessionEnd(listener: () => void): void {
  ended.add(listener);
}

export async function send(method: string, url: string, options: CallOptions = {}): Promise<Response> {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(options.query ?? {})) {
    if (Array.isArray(value)) for (const one of value) query.append(name, one);
    else if (value !== undefined && value !== null && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  const headers: Record<string, string> = { ...HEADERS, ...options.headers };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(url + (text ? `?${text}` : ""), {
      method,
      headers,
      body: options.body === undefined ? null : JSON.stringify(options.body),
      signal: options.signal ?? null,
      credentials: "same-origin",
      cache: "no-store",
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, "UNREACHABLE", "The coordinator can't be reached. Trying again …");
  }
  if (response.ok) return response;
  const failure = await failureOf(response);
  if (failure.status === 401 && url !== "/console/session" && !options.headers?.["Authorization"]) for (const listener of ended) listener();
  throw failure;
}

async function failureOf(response: Response): Promise<ApiError> {
  const after = Number(response.headers.get("retry-after")) || undefined;
  try {
    const { error } = await response.json();
    return new ApiError(response.status, error.code, error.message, error.details, error.request_id, after);
  } catch {
    return new ApiError(response.status, "UNKNOWN", `The coordinator answered ${response.status}`, {}, "", after);
  }
}

/** Call an operation below `/v1`. */
export async function call<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
  const response = await send(method, `/v1${path}`, options);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

export const get = <T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> =>
  call<T>("GET", path, { ...(query ? { query } : {}), signal });

export const post = <T>(path: string, body: unknown = {}, headers: Record<string, string> = {}): Promise<T> =>
  call<T>("POST", path, { body, headers });

/** A new `Idempotency-Key`. Where the console isn't served over HTTPS, browsers give no UUID. */
export const newKey = (): string => crypto.randomUUID?.() ?? `console-${Date.now()}-${Math.random()}`;

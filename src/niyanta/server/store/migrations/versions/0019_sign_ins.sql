-- Who came in by JSON Web Tokens, so that operators can see them and send them away.
-- The release before this one reads none of this, and lets in tokens that an operator has ended.
SET LOCAL lock_timeout = '5s';
CREATE TABLE sign_ins (
    session_id     text COLLATE "C" PRIMARY KEY,
    customer_id    text COLLATE "C" NOT NULL REFERENCES customers,
    subject        text NOT NULL,
    first_used_at  timestamptz NOT NULL DEFAULT now(),
    last_used_at   timestamptz NOT NULL DEFAULT now(),
    last_used_from text NOT NULL,
    issued_at      timestamptz,
    expires_at     timestamptz NOT NULL,
    revoked_at     timestamptz
);
COMMENT ON TABLE sign_ins IS 'Who came in by JSON Web Tokens: one row for each subject of a customer';
COMMENT ON COLUMN sign_ins.issued_at IS 'Of the newest token; NULL when it doesn''t say';
COMMENT ON COLUMN sign_ins.revoked_at IS 'Tokens that were issued before that are good no more';
CREATE INDEX sign_ins_by_customer ON sign_ins (customer_id);
CREATE INDEX sign_ins_by_use ON sign_ins (last_used_at);

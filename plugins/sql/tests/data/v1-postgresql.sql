CREATE TABLE palaver_schema (
    table_name text NOT NULL COLLATE pg_catalog."C",
    version integer NOT NULL
);
CREATE TABLE palaver_sessions (
    namespace text NOT NULL COLLATE pg_catalog."C",
    session_id text NOT NULL COLLATE pg_catalog."C",
    payload bytea NOT NULL,
    version text NOT NULL COLLATE pg_catalog."C",
    expires_at bigint,
    due_at bigint
);
INSERT INTO palaver_schema VALUES ('palaver_sessions', 1);
INSERT INTO palaver_sessions VALUES ('', 'telegram:1', '\x7b226964223a2274656c656772616d3a31222c2263726561746564223a312c226c6173745f6163746976697479223a322c227374617465223a7b226e69636b6e616d65223a2254c3ad6d227d7d', '0123456789abcdef0123456789abcdef', NULL, NULL);
INSERT INTO palaver_sessions VALUES ('', 'TELEGRAM:1 ', '\x00ff', 'fedcba9876543210fedcba9876543210', 4102444800000, 4102444548096);
INSERT INTO palaver_sessions VALUES ('shop', 'é', '\x7b226964223a2274656c656772616d3a31222c2263726561746564223a312c226c6173745f6163746976697479223a322c227374617465223a7b226e69636b6e616d65223a2254c3ad6d227d7d', '00000000000000000000000000000001', 4102444800000, 4102444548096);
ALTER TABLE ONLY palaver_schema
    ADD CONSTRAINT palaver_schema_pkey PRIMARY KEY (table_name);
ALTER TABLE ONLY palaver_sessions
    ADD CONSTRAINT palaver_sessions_pkey PRIMARY KEY (namespace, session_id);
CREATE INDEX palaver_sessions_due ON palaver_sessions USING btree (namespace, due_at);

-- What the schema gives to code (`needs` is null), and what it asks of code that knows the table and those columns.
-- The empty search path has every name spelled out, whatever path a migration sets; as a function it leaves that alone.
CREATE FUNCTION pg_temp.catalog() RETURNS TABLE (kind text, path text[], needs text[])
LANGUAGE sql SET search_path = '' AS $$
WITH part AS ( -- of an extension or a type, or a column's sequence
    SELECT classid, objid FROM pg_depend WHERE deptype IN ('e', 'i') OR deptype = 'a' AND refobjsubid > 0
), space AS (
    SELECT *, CASE nspname WHEN 'public' THEN '' ELSE nspname || '.' END AS prefix
    FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), relation AS (
    SELECT c.*, prefix || relname AS name
    FROM pg_class c JOIN space s ON s.oid = relnamespace
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relname <> 'alembic_version'
        AND (c.tableoid, c.oid) NOT IN (SELECT classid, objid FROM part)
), field AS (
    SELECT name, attname::text AS field, relkind, a.*, atthasdef OR attidentity <> '' AS filled, attnotnull OR EXISTS (
        SELECT FROM pg_constraint
        WHERE conrelid = attrelid AND conkey = ARRAY[attnum]
            AND pg_get_expr(conbin, conrelid) = format('(%I IS NOT NULL)', attname)
    ) AS obligatory
    FROM relation r JOIN pg_attribute a ON attrelid = r.oid
    WHERE attnum > 0 AND NOT attisdropped AND relkind <> 'S'
), key AS (
    SELECT name, i.*, 'unique ' || concat_ws(' WHERE ', (
        SELECT format('(%s)', string_agg(part, ', ' ORDER BY part))
        FROM generate_series(1, indnkeyatts) AS k, pg_get_indexdef(indexrelid, k, false) AS part
    ), pg_get_expr(indpred, indrelid)) AS definition
    FROM relation r JOIN pg_index i ON indrelid = r.oid
    WHERE indisunique
), type AS (
    SELECT t.*, prefix || typname AS name
    FROM pg_type t JOIN space s ON s.oid = typnamespace LEFT JOIN pg_class c ON c.oid = typrelid
    WHERE (typtype IN ('e', 'd', 'r') OR relkind = 'c') AND (t.tableoid, t.oid) NOT IN (SELECT classid, objid FROM part)
), routine AS (
    SELECT p.*, format('%s(%s)', prefix || proname, pg_get_function_identity_arguments(p.oid))
        || coalesce(' returning ' || pg_get_function_result(p.oid), '') AS name
    FROM pg_proc p JOIN space s ON s.oid = pronamespace
    WHERE prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
        AND (p.tableoid, p.oid) NOT IN (SELECT classid, objid FROM part)
), access (name, acl) AS (
    SELECT name, coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))
    FROM relation
    UNION ALL SELECT name, coalesce(proacl, acldefault('f', proowner)) FROM routine
    UNION ALL SELECT nspname, coalesce(nspacl, acldefault('n', nspowner)) FROM space
), rule AS (
    SELECT c.*, coalesce(r.name, t.name) AS name, contype = 'c' AS is_check,
        regexp_replace(pg_get_constraintdef(c.oid), ' NOT VALID$', '') AS definition
    FROM pg_constraint c LEFT JOIN relation r ON r.oid = conrelid LEFT JOIN type t ON t.oid = contypid
    WHERE contype IN ('c', 'f', 'x')
)
SELECT 'schema', ARRAY[nspname::text], NULL::text[] FROM space
UNION ALL SELECT 'relation', ARRAY[name], NULL FROM relation
UNION ALL SELECT 'rows', ARRAY[name, relfilenode::text], NULL FROM relation WHERE relkind = 'r'
UNION ALL SELECT 'column', ARRAY[name, field], NULL FROM field
UNION ALL SELECT 'values', ARRAY[name, field, attnum::text], NULL FROM field WHERE relkind IN ('r', 'p')
-- To make these two narrower, or any type by a parameter, PostgreSQL rewrites the rows.
UNION ALL SELECT 'column type', ARRAY[name, field, replace(format_type(atttypid, NULL), 'character varying', 'text')],
    NULL FROM field
UNION ALL SELECT 'default', ARRAY[name, field, 'default'], NULL FROM field WHERE filled
UNION ALL SELECT 'key', ARRAY[name, definition], NULL FROM key
UNION ALL SELECT 'trigger', ARRAY[name, tgname], NULL
    FROM relation r JOIN pg_trigger ON tgrelid = r.oid WHERE NOT tgisinternal
UNION ALL SELECT 'policy', ARRAY[name, polname], NULL FROM relation r JOIN pg_policy ON polrelid = r.oid
UNION ALL SELECT 'type', ARRAY[name], NULL FROM type
UNION ALL SELECT 'value', ARRAY[name, enumlabel], NULL FROM type t JOIN pg_enum ON enumtypid = t.oid
UNION ALL SELECT 'function', ARRAY[name], NULL FROM routine
UNION ALL SELECT 'extension', ARRAY[extname::text], NULL FROM pg_extension
UNION ALL SELECT 'privilege', ARRAY[name, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
    privilege_type], NULL FROM access, aclexplode(acl)
UNION ALL SELECT 'required', ARRAY[name, field], '{}' FROM field WHERE obligatory AND NOT filled
UNION ALL SELECT 'not null', ARRAY[name, field, 'not null'], ARRAY[field] FROM field WHERE obligatory
UNION ALL SELECT 'identity', ARRAY[name, field, 'identity'], ARRAY[field] FROM field WHERE attidentity = 'a'
-- A column that the code does not know stays null if it has no default, and then nothing collides.
UNION ALL SELECT 'unique', ARRAY[name, definition], ARRAY(
        SELECT field FROM field
        WHERE attrelid = indrelid AND NOT filled AND NOT indnullsnotdistinct AND (
            attnum = ANY (indkey[0:indnkeyatts - 1])
            OR EXISTS (
                SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = indexrelid
                    AND refclassid = 'pg_class'::regclass AND refobjid = indrelid AND refobjsubid = attnum
            )
        )
    ) FROM key
-- A check concerns whoever knows one of its columns; any other rule whoever knows all of them.
UNION ALL SELECT 'constraint', ARRAY[u.name, definition], array_remove(array_agg(field), NULL)
    FROM rule u LEFT JOIN field ON attrelid = conrelid AND attnum = ANY (conkey)
    WHERE u.name IS NOT NULL
        AND (NOT is_check OR field IS NULL OR pg_get_expr(conbin, conrelid) <> format('(%I IS NOT NULL)', attname))
    GROUP BY u.name, definition, CASE WHEN is_check THEN field END
UNION ALL SELECT 'row security', ARRAY[name, 'row security'], '{}' FROM relation WHERE relrowsecurity
-- Built in this very transaction, so not CONCURRENTLY, and not taken over from an older index with its file.
UNION ALL SELECT 'index', ARRAY[name, 'index', indexrelid::text], '{}'
    FROM relation r JOIN pg_index i ON indrelid = r.oid JOIN pg_class c ON c.oid = indexrelid
    WHERE i.xmin = pg_current_xact_id()::xid AND c.relfilenode = c.oid
$$

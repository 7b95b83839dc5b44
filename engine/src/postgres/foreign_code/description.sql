-- Objects that an expression, a key or a column of the table can name.
WITH RECURSIVE objects(class, oid) AS (
  SELECT 2606, k.oid FROM pg_catalog.pg_constraint k
    WHERE k.conrelid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid
  UNION ALL SELECT 2604, d.oid FROM pg_catalog.pg_attrdef d
    WHERE d.adrelid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid
  UNION ALL SELECT 1259, i.indexrelid FROM pg_catalog.pg_index i
    WHERE i.indrelid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid
  UNION ALL SELECT 3381, x.oid FROM pg_catalog.pg_statistic_ext x
    WHERE x.stxrelid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid
  UNION ALL SELECT 2620, g.oid FROM pg_catalog.pg_trigger g
    WHERE g.tgrelid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid
  UNION ALL SELECT 2618, w.oid FROM pg_catalog.pg_rewrite w
    WHERE w.ev_class OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid
  UNION ALL SELECT 3256, p.oid FROM pg_catalog.pg_policy p
    WHERE p.polrelid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid),
-- Columns whose values the server converts or compares: the table's own, and those at the other end of its
-- foreign keys.
columns(relation, number) AS (
  SELECT a.attrelid, a.attnum FROM pg_catalog.pg_attribute a
    WHERE a.attrelid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid AND NOT a.attisdropped
  UNION ALL SELECT k.confrelid, n.number FROM pg_catalog.pg_constraint k, pg_catalog.unnest(k.confkey) n(number)
    WHERE k.conrelid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid
      AND k.contype OPERATOR(pg_catalog.=) 'f'::pg_catalog."char"
  UNION ALL SELECT k.conrelid, n.number FROM pg_catalog.pg_constraint k, pg_catalog.unnest(k.conkey) n(number)
    WHERE k.confrelid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid
      AND k.contype OPERATOR(pg_catalog.=) 'f'::pg_catalog."char"),
-- Every type defined by others that such a value can have or be converted to: a conversion runs the checks of
-- each domain in it, and the casts of each of them.
types(oid) AS (
  (SELECT a.atttypid FROM columns c JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.relation
      AND a.attnum OPERATOR(pg_catalog.=) c.number
    WHERE a.atttypid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
  UNION SELECT d.refobjid FROM objects o JOIN pg_catalog.pg_depend d
      ON d.classid OPERATOR(pg_catalog.=) o.class::pg_catalog.oid AND d.objid OPERATOR(pg_catalog.=) o.oid
    WHERE d.refclassid OPERATOR(pg_catalog.=) 1247::pg_catalog.oid
      AND d.refobjid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid)
  UNION
  SELECT n.oid FROM types t JOIN pg_catalog.pg_type y ON y.oid OPERATOR(pg_catalog.=) t.oid,
    LATERAL (SELECT y.typbasetype UNION ALL SELECT y.typelem
      UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
        WHERE a.attrelid OPERATOR(pg_catalog.=) y.typrelid AND y.typrelid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
          AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT a.attisdropped
      UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid OPERATOR(pg_catalog.=) y.oid
      -- By the name of the column, which PostgreSQL 13 lacks.
      UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r
        WHERE (pg_catalog.to_jsonb(r) OPERATOR(pg_catalog.->>) 'rngmultitypid')::pg_catalog.oid OPERATOR(pg_catalog.=) y.oid
      UNION ALL SELECT d.refobjid FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_depend d
          ON d.classid OPERATOR(pg_catalog.=) 2606::pg_catalog.oid AND d.objid OPERATOR(pg_catalog.=) k.oid
        WHERE k.contypid OPERATOR(pg_catalog.=) y.oid AND d.refclassid OPERATOR(pg_catalog.=) 1247::pg_catalog.oid) n(oid)
    WHERE n.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid),
-- Casts of extensions. The owner of an extension can add casts to it, but only superusers can create
-- functions in C, the language of the server's own functions.
of_extension(class, oid) AS (
  SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
    WHERE d.refclassid OPERATOR(pg_catalog.=) 3079::pg_catalog.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'::pg_catalog."char"
      AND d.classid OPERATOR(pg_catalog.=) ANY (ARRAY[2605]::pg_catalog.oid[])),
-- Everything that the server can compute when a row of the table changes: its text, and the expression tree.
expressions(kind, name, class, oid, definition, tree) AS (
  SELECT 'check', k.conname::pg_catalog.text, 2606, k.oid,
      pg_catalog.concat_ws(' ', pg_catalog.pg_get_constraintdef(k.oid)), k.conbin::pg_catalog.text
    FROM pg_catalog.pg_constraint k
    WHERE k.conrelid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid
      AND k.contype OPERATOR(pg_catalog.=) 'c'::pg_catalog."char"
  UNION ALL
  SELECT 'domain_check', pg_catalog.concat(t.oid::pg_catalog.regtype, '.', k.conname), 2606, k.oid,
      pg_catalog.pg_get_constraintdef(k.oid), k.conbin::pg_catalog.text
    FROM types t JOIN pg_catalog.pg_constraint k ON k.contypid OPERATOR(pg_catalog.=) t.oid
    WHERE k.contype OPERATOR(pg_catalog.=) 'c'::pg_catalog."char"
  UNION ALL
  SELECT 'generated_column', a.attname::pg_catalog.text, 2604, d.oid,
      pg_catalog.pg_get_expr(d.adbin, d.adrelid), d.adbin::pg_catalog.text
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_attrdef d ON d.adrelid OPERATOR(pg_catalog.=) a.attrelid
      AND d.adnum OPERATOR(pg_catalog.=) a.attnum
    WHERE a.attrelid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid
      AND a.attgenerated OPERATOR(pg_catalog.<>) ''::pg_catalog."char"
  UNION ALL
  SELECT 'index_expression', x.relname::pg_catalog.text, 1259, x.oid, pg_catalog.pg_get_indexdef(x.oid),
      pg_catalog.concat_ws(' ', i.indexprs, i.indpred)
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid OPERATOR(pg_catalog.=) i.indexrelid
    WHERE i.indrelid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid
      AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
  UNION ALL
  -- By the name of the column, which PostgreSQL 13 lacks.
  SELECT 'statistics', x.stxname::pg_catalog.text, 3381, x.oid, pg_catalog.pg_get_statisticsobjdef(x.oid),
      pg_catalog.to_jsonb(x) OPERATOR(pg_catalog.->>) 'stxexprs'
    FROM pg_catalog.pg_statistic_ext x
    WHERE x.stxrelid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid
      AND (pg_catalog.to_jsonb(x) OPERATOR(pg_catalog.->>) 'stxexprs') IS NOT NULL
  UNION ALL
  SELECT 'policy', p.polname::pg_catalog.text, 3256, p.oid, pg_catalog.concat_ws(' ', p.polcmd, p.polpermissive,
      (SELECT pg_catalog.string_agg(CASE WHEN o.id OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 'public'
          ELSE pg_catalog.pg_get_userbyid(o.id)::pg_catalog.text END, ',' ORDER BY o.id)
        FROM pg_catalog.unnest(p.polroles) o(id)),
      pg_catalog.pg_get_expr(p.polqual, p.polrelid), '/', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)),
      pg_catalog.concat_ws(' ', p.polqual, p.polwithcheck)
    FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) p.polrelid
    WHERE c.oid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid AND c.relrowsecurity
  UNION ALL
  SELECT 'rule', w.rulename::pg_catalog.text, 2618, w.oid,
      pg_catalog.concat_ws(' ', pg_catalog.pg_get_ruledef(w.oid), w.ev_enabled), w.ev_action::pg_catalog.text
    FROM pg_catalog.pg_rewrite w
    WHERE w.ev_class OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid
      AND w.ev_type OPERATOR(pg_catalog.=) '2'::pg_catalog."char"
      AND w.ev_enabled OPERATOR(pg_catalog.<>) 'D'::pg_catalog."char"
  UNION ALL
  -- Triggers that an update of a row fires, besides those that the server creates for keys.
  SELECT CASE WHEN g.tgisinternal THEN 'internal_trigger' ELSE 'trigger' END, g.tgname::pg_catalog.text, 2620, g.oid,
      pg_catalog.concat_ws(' ', pg_catalog.pg_get_triggerdef(g.oid), g.tgenabled), g.tgqual::pg_catalog.text
    FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) g.tgfoid
    WHERE g.tgrelid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid
      AND (g.tgtype::pg_catalog.int4 OPERATOR(pg_catalog.&) 16) OPERATOR(pg_catalog.<>) 0
      AND g.tgenabled OPERATOR(pg_catalog.<>) 'D'::pg_catalog."char"
      AND NOT (p.prolang OPERATOR(pg_catalog.=) 12::pg_catalog.oid
        AND p.pronamespace OPERATOR(pg_catalog.=) 11::pg_catalog.oid
        AND (pg_catalog.starts_with(p.proname::pg_catalog.text, 'RI_FKey_')
          OR p.proname OPERATOR(pg_catalog.=) 'unique_key_recheck'::pg_catalog.name))
  UNION ALL
  SELECT DISTINCT 'data_type', pg_catalog.concat('cast from ', k.castsource::pg_catalog.regtype, ' to ',
      k.casttarget::pg_catalog.regtype), 2605, k.oid, pg_catalog.concat_ws(' ', k.castcontext, k.castmethod), NULL
    FROM types t
      JOIN pg_catalog.pg_cast k ON k.castsource OPERATOR(pg_catalog.=) t.oid OR k.casttarget OPERATOR(pg_catalog.=) t.oid
      LEFT JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) k.castfunc
    WHERE p.oid IS NULL OR p.prolang OPERATOR(pg_catalog.<>) 12::pg_catalog.oid
      AND NOT (p.prolang OPERATOR(pg_catalog.=) 13::pg_catalog.oid
        AND EXISTS (SELECT FROM of_extension e WHERE e.class OPERATOR(pg_catalog.=) 2605::pg_catalog.oid
          AND e.oid OPERATOR(pg_catalog.=) k.oid))
  UNION ALL
  SELECT 'data_type', pg_catalog.concat('range ', t.oid::pg_catalog.regtype), 3541, t.oid,
      pg_catalog.concat_ws(' ', r.rngcanonical, r.rngsubdiff), NULL
    FROM types t JOIN pg_catalog.pg_range r ON r.rngtypid OPERATOR(pg_catalog.=) t.oid),
-- Operators of an expression, and those that the planner puts in their place: negators and commutators.
operators(class, oid, operator) AS (
  SELECT e.class, e.oid, d.refobjid FROM expressions e JOIN pg_catalog.pg_depend d
    ON d.classid OPERATOR(pg_catalog.=) e.class::pg_catalog.oid AND d.objid OPERATOR(pg_catalog.=) e.oid
      AND d.refclassid OPERATOR(pg_catalog.=) 2617::pg_catalog.oid
  UNION
  SELECT s.class, s.oid, n.operator FROM operators s
    JOIN pg_catalog.pg_operator o ON o.oid OPERATOR(pg_catalog.=) s.operator,
    LATERAL (SELECT o.oprnegate UNION ALL SELECT o.oprcom) n(operator)
    WHERE n.operator OPERATOR(pg_catalog.<>) 0::pg_catalog.oid),
uses(class, oid, function) AS (
  SELECT e.class, e.oid, m.found[1]::pg_catalog.oid FROM expressions e,
    pg_catalog.regexp_matches(e.tree, ':(?:funcid|opfuncid|aggfnoid|winfnoid) ([1-9][0-9]*)', 'g') m(found)
  UNION
  SELECT e.class, e.oid, d.refobjid FROM expressions e JOIN pg_catalog.pg_depend d
    ON d.classid OPERATOR(pg_catalog.=) e.class::pg_catalog.oid AND d.objid OPERATOR(pg_catalog.=) e.oid
      AND d.refclassid OPERATOR(pg_catalog.=) 1255::pg_catalog.oid
  UNION
  SELECT s.class, s.oid, o.oprcode::pg_catalog.oid FROM operators s
    JOIN pg_catalog.pg_operator o ON o.oid OPERATOR(pg_catalog.=) s.operator
    WHERE o.oprcode::pg_catalog.oid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
  UNION
  SELECT 2620, g.oid, g.tgfoid FROM expressions e JOIN pg_catalog.pg_trigger g
    ON e.class OPERATOR(pg_catalog.=) 2620 AND g.oid OPERATOR(pg_catalog.=) e.oid
  UNION
  SELECT 2605, k.oid, k.castfunc FROM expressions e JOIN pg_catalog.pg_cast k
    ON e.class OPERATOR(pg_catalog.=) 2605 AND k.oid OPERATOR(pg_catalog.=) e.oid
    WHERE k.castfunc OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
  UNION
  SELECT 3541, e.oid, f.oid FROM expressions e JOIN pg_catalog.pg_range r
      ON e.class OPERATOR(pg_catalog.=) 3541 AND r.rngtypid OPERATOR(pg_catalog.=) e.oid,
    LATERAL (SELECT r.rngcanonical::pg_catalog.oid UNION ALL SELECT r.rngsubdiff::pg_catalog.oid) f(oid)
    WHERE f.oid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid),
-- A function of the server is harmless if it depends only on its arguments, works on plain values, is a
-- clock, or concatenates values as text: that calls only the output functions of their types. One that finds a type by
-- its name calls the input function of that type.
judged(class, oid, function, name, definition, is_own) AS (
  SELECT u.class, u.oid, p.oid, p.oid::pg_catalog.regprocedure::pg_catalog.text,
    pg_catalog.concat_ws(E'\n', CASE WHEN p.prokind OPERATOR(pg_catalog.=) 'a'::pg_catalog."char"
        THEN p.oid::pg_catalog.regprocedure::pg_catalog.text ELSE pg_catalog.pg_get_functiondef(p.oid) END,
      pg_catalog.pg_get_userbyid(p.proowner), p.prosecdef, p.proconfig),
    (p.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid OR p.prolang OPERATOR(pg_catalog.=) 12::pg_catalog.oid)
      AND (p.provolatile OPERATOR(pg_catalog.=) 'i'::pg_catalog."char"
      OR p.oid OPERATOR(pg_catalog.=) ANY ('{1299,2647,2648,2649,384,395,2003,2004,3058,3059,3539,3540}'::pg_catalog.oid[])
      OR p.provolatile OPERATOR(pg_catalog.=) 's'::pg_catalog."char"
        AND p.proname OPERATOR(pg_catalog.<>) 'pg_input_is_valid'::pg_catalog.name AND
        (p.proargtypes::pg_catalog.oid[] OPERATOR(pg_catalog.||) p.prorettype) OPERATOR(pg_catalog.<@)
        '{16,19,20,21,23,25,700,701,1042,1043,1082,1083,1114,1184,1186,1266,1700,2950}'::pg_catalog.oid[])
  FROM uses u JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) u.function),
-- Other objects that an expression depends on: relations besides the table itself, domains, and types of others that a
-- JSON function returns, on which the server records no dependency.
others(class, oid, function) AS (
  SELECT e.class, e.oid, m.found[1]::pg_catalog.oid FROM expressions e,
    pg_catalog.regexp_matches(e.tree, ':typid ([1-9][0-9]*)', 'g') m(found)
    WHERE m.found[1]::pg_catalog.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
  UNION ALL
  SELECT e.class, e.oid, d.refobjid FROM expressions e JOIN pg_catalog.pg_depend d
    ON d.classid OPERATOR(pg_catalog.=) e.class::pg_catalog.oid AND d.objid OPERATOR(pg_catalog.=) e.oid
    LEFT JOIN pg_catalog.pg_type y ON d.refclassid OPERATOR(pg_catalog.=) 1247::pg_catalog.oid
      AND y.oid OPERATOR(pg_catalog.=) d.refobjid
    WHERE d.refclassid OPERATOR(pg_catalog.=) 1259::pg_catalog.oid
        AND d.refobjid OPERATOR(pg_catalog.<>) $1::pg_catalog.text::pg_catalog.oid
      OR y.typtype OPERATOR(pg_catalog.=) 'd'::pg_catalog."char"
        AND e.kind OPERATOR(pg_catalog.<>) 'domain_check'),
tables(oid) AS (SELECT $1::pg_catalog.text::pg_catalog.oid UNION ALL SELECT $2::pg_catalog.text::pg_catalog.oid),
relations(owner, oid, toast) AS (
  SELECT t.oid, t.oid, c.reltoastrelid FROM tables t JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.oid),
lockable(owner, oid) AS (
  SELECT owner, oid FROM relations
  UNION SELECT owner, toast FROM relations WHERE toast OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
  UNION SELECT r.owner, i.indexrelid FROM relations r JOIN pg_catalog.pg_index i
    ON i.indrelid OPERATOR(pg_catalog.=) r.oid OR i.indrelid OPERATOR(pg_catalog.=) r.toast)
SELECT pg_catalog.json_build_object(
  'code', ARRAY(SELECT pg_catalog.json_build_object('kind', e.kind, 'name', e.name, 'definition', e.definition,
      'functions', ARRAY(SELECT pg_catalog.json_build_object('name', j.name, 'definition', j.definition,
          'is_own', j.is_own) FROM judged j WHERE j.class OPERATOR(pg_catalog.=) e.class
          AND j.oid OPERATOR(pg_catalog.=) e.oid ORDER BY j.name),
      'rests_on_others', EXISTS (SELECT FROM others o WHERE o.class OPERATOR(pg_catalog.=) e.class
          AND o.oid OPERATOR(pg_catalog.=) e.oid),
      'is_of_deferrable_constraint', EXISTS (SELECT FROM pg_catalog.pg_constraint k
        WHERE e.class OPERATOR(pg_catalog.=) 1259 AND k.conindid OPERATOR(pg_catalog.=) e.oid AND k.condeferrable
          AND k.contype OPERATOR(pg_catalog.<>) 'f'::"char"),
      'trigger', (SELECT pg_catalog.json_build_object('is_deferrable', g.tgdeferrable, 'type', g.tgtype,
          'function', p.oid::pg_catalog.regprocedure::pg_catalog.text, 'language', l.lanname,
          'is_server_language', l.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid,
          'is_definer', p.prosecdef, 'has_settings', p.proconfig IS NOT NULL, 'source', p.prosrc,
          'has_condition', g.tgqual IS NOT NULL)
        FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) g.tgfoid
          JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
        WHERE e.class OPERATOR(pg_catalog.=) 2620 AND g.oid OPERATOR(pg_catalog.=) e.oid))
    FROM expressions e ORDER BY e.kind, e.name),
  'namespaces', ARRAY(SELECT DISTINCT c.relnamespace::pg_catalog.int8 FROM tables t JOIN pg_catalog.pg_class c
    ON c.oid OPERATOR(pg_catalog.=) t.oid),
  'types', ARRAY(SELECT t.oid::pg_catalog.int8 FROM types t ORDER BY t.oid),
  'operators', ARRAY(SELECT DISTINCT s.operator::pg_catalog.int8 FROM operators s),
  'functions', ARRAY(SELECT DISTINCT u.function::pg_catalog.int8 FROM uses u
    WHERE u.function OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid),
  'lockable', ARRAY(SELECT l.oid::pg_catalog.int8 FROM lockable l ORDER BY l.oid)
)::pg_catalog.text

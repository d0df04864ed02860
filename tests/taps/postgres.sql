-- `plain` loads as it is; in `repaired` are values and names that a tap, JSON or a destination has not.
CREATE SCHEMA plain;
CREATE SCHEMA repaired;
CREATE EXTENSION hstore SCHEMA public;
CREATE EXTENSION citext SCHEMA public;
SET search_path = plain, public;

CREATE TABLE integers (id int PRIMARY KEY, small smallint, whole int, big bigint, serial bigserial);
INSERT INTO integers (id, small, whole, big) VALUES
  (0, 0, 0, 0),
  (1, -32768, -2147483648, -9223372036854775808),
  (2, 32767, 2147483647, 9223372036854775807),
  (3, NULL, NULL, NULL),
  (4, 1, 16777217, 9007199254740993);

CREATE TABLE numerics (id int PRIMARY KEY, any_scale numeric, wide numeric(38, 10), price numeric(10, 2), whole numeric(5));
INSERT INTO numerics VALUES
  (0, 0, 0, 0, 0), (1, 1.5, 12345678901.0123456789, 99999999.99, 99999), (2, -0.1, -99999.9999999999, -99999999.99, -99999),
  (3, NULL, NULL, NULL, NULL), (4, 0.5, 0.0000000001, 0.01, 1), (5, 0.00000000000000000001, 0.29, 0.29, 29),
  (6, 250000.250, 100, 100, 100), (7, 1234567890123456789, 1.1, 0.76, 7);

CREATE TABLE numerics_extreme (id int PRIMARY KEY, any_scale numeric, wide numeric(38, 10), fine numeric(38, 37));
INSERT INTO numerics_extreme VALUES
  (1, 123456789012345678901234567890.5, 1234567890123456789012345678.0123456789, 9.9999999999999999999999999999999999999),
  (2, 0.00000000000000000001, -9999999999999999999999999999.9999999999, -0.0000000000000000000000000000000000001),
  (3, NULL, NULL, NULL), (4, 1.5, 9999999999999999999999999999.9999999999, 0.29);

CREATE TABLE numeric_beyond (id int PRIMARY KEY, n numeric);
INSERT INTO numeric_beyond VALUES
  (1, 1e37), (2, 12345678901234567890.12345678901234567891), (3, NULL), (4, 1e-38), (5, -1e60);

CREATE TABLE numeric_hundreds (id int PRIMARY KEY, n numeric(2, -3));
INSERT INTO numeric_hundreds VALUES (1, 12345), (2, -99000), (3, NULL), (4, 0);

CREATE TABLE doubles (id int PRIMARY KEY, single real, double double precision);
INSERT INTO doubles VALUES
  (0, 0, 0), (1, 0.1, 0.1), (2, 3.4028235e38, 1.7976931348623157e308), (3, NULL, NULL),
  (4, 1e-45, 5e-324), (5, '-0', '-0'), (6, 16777216, 9007199254740992), (7, 1e15, 1e22),
  (8, 123456.79, 123456789.123456789);

CREATE TABLE texts (id int PRIMARY KEY, t text, v varchar(20), c char(5), ci citext);
INSERT INTO texts VALUES
  (0, '', '', '', ''), (1, 'plain', 'plain', 'plain', 'Plain'), (2, NULL, NULL, NULL, NULL),
  (3, E'tab\tnewline\ncarriage\rquote"backslash\\', E'\\u0000', E'\\', '''"'),
  (4, U&'emoji \+01F600 astral \+02F81A', U&'\+01F468\200D\+01F469', 'é', 'ÄÖÜ'),
  (5, U&'\0001\001F\007F\0085\2028\2029\FEFF\FFFD\FFFE\FFFF', U&'e\0301', U&'\00A0', ' '),
  (6, U&'\202Ertl \05D0\200F', 'NULL', 'null', 'NaN'), (7, 'true', '1', '1.0', '2024-01-01'),
  (8, repeat('long', 50000), ' trailing ', 'ab', '{}'), (9, '\N', '[1]', '{"a"', '{"a": 1}'),
  (10, '2024-01-01T00:00:00Z', '0x1F', '1e5', 'Infinity');

CREATE TABLE bytes (id int PRIMARY KEY, b bytea);
INSERT INTO bytes VALUES (0, ''), (1, '\x00'), (2, '\xdeadbeef00ff'), (3, NULL), (4, 'ascii'), (5, '\xc3a9');

CREATE TABLE booleans (id int PRIMARY KEY, b boolean);
INSERT INTO booleans VALUES (0, false), (1, true), (2, NULL);

CREATE TABLE moments (id int PRIMARY KEY, at timestamp, at_zone timestamptz, day date, milli timestamp(3));
INSERT INTO moments VALUES
  (0, '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789012+05:30', '2024-02-29', '2024-02-29 12:34:56.789'),
  (1, '0001-01-01 00:00:00', '0001-01-01 00:00:00+00', '0001-01-01', '0001-01-01 00:00:00'),
  (2, '9999-12-31 23:59:59', '9999-12-31 23:59:59+00', '9999-12-31', '9999-12-31 23:59:59'),
  (3, NULL, NULL, NULL, NULL),
  (4, '1970-01-01 00:00:00', '1970-01-01 00:00:00+14', '1970-01-01', '1969-12-31 23:59:59.999'),
  (5, '1890-06-15 12:00:00', '1890-06-15 12:00:00+00:53:28', '1582-10-15', '2038-01-19 03:14:08'),
  (6, '2024-12-31 23:59:59.999999', '2024-03-31 02:30:00 Europe/Berlin', '1900-01-01', '2024-01-01 00:00:00.001'),
  (7, '2024-01-01 00:00:00.1', '2024-01-01 00:00:00.000001-11', '2000-02-29', '2024-01-01 00:00:00.1');

CREATE TABLE times (id int PRIMARY KEY, t time, tz timetz, i interval);
INSERT INTO times VALUES
  (0, '00:00:00', '00:00:00+00', '0'), (1, '23:59:59.999999', '23:59:59+02', '1 year 2 months 3 days 04:05:06.789'),
  (2, NULL, NULL, NULL), (3, '12:34:56', '12:34:56-11:30', '-1 day'), (4, '01:02:03.5', '01:02:03+00', '200 years');

CREATE TYPE mood AS ENUM ('sad', 'ok', 'Very Happy', 'it''s "so"', 'größer');
CREATE TABLE arrays (id int PRIMARY KEY, ints int[], texts text[], grid int[][], nums numeric[],
  bools boolean[], moments timestamptz[], uuids uuid[], doubles float8[], moods mood[], varchars varchar(9)[]);
INSERT INTO arrays VALUES
  (0, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
  (1, '{1,NULL,-3}', ARRAY['a', NULL, '', 'NULL', 'with "quotes", comma', U&'\+01F600', 'new
line'], '{{1,2},{3,4}}', '{1.5,0.1,NULL}', '{t,f,NULL}', '{2024-01-01 00:00:00+01,NULL}',
   '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', '{0.1,1e300,NULL}', '{sad,"Very Happy",NULL}', '{a,NULL}'),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (3, '{5}', '{x}', '{{1},{2}}', '{-99.9900}', '{t}', '{1999-12-31 23:59:59.500001+00}',
   '{00000000-0000-0000-0000-000000000000}', '{1}', '{ok}', '{b}');

CREATE TABLE big_arrays (id int PRIMARY KEY, bigs bigint[]);
INSERT INTO big_arrays VALUES (0, '{}'), (1, '{9223372036854775807,NULL}'), (2, NULL), (3, '{-1,0}');

CREATE TABLE json_objects (id int PRIMARY KEY, j json, b jsonb);
INSERT INTO json_objects VALUES
  (0, '{}', '{}'), (1, '{"a": 1, "b": {"c": [1, {"d": null}]}}', '{"a": 1, "b": {"c": [1, {"d": null}]}}'),
  (2, NULL, NULL), (3, '{"text": "\ud83d\ude00 \u00e9 \"q\" \\ /", "": "empty name"}', '{"text": "\ud83d\ude00 \u00e9", "x y.z": true}'),
  (4, '{"n": 0.1, "big": 9007199254740991, "small": -1.5e-7}', '{"n": 0.1, "big": 9007199254740991}'),
  (5, '{"deep": {"deep": {"deep": {"deep": {"deep": {"deep": {"deep": 1}}}}}}}', '{"list": [[], [[]], {}, [{}]]}'),
  (6, '{"_sdc_sequence": 1, "A": 1, "b": "t"}', '{"when": "2024-01-01T00:00:00Z"}');

CREATE TABLE json_lists (id int PRIMARY KEY, b jsonb);
INSERT INTO json_lists VALUES (0, '[]'), (1, '[1, "a", null, true, 1.5, [2], {"k": "v"}]'), (2, NULL), (3, '[{"k": 1}, {"k": 2}]');

CREATE TABLE json_numbers (id int PRIMARY KEY, b jsonb);
INSERT INTO json_numbers VALUES (0, '{"n": 12345678901234567890}'), (1, '{"n": 0.12345678901234567890123}'), (2, '{"n": 1e30}');

CREATE TABLE enums (id int PRIMARY KEY, m mood);
INSERT INTO enums VALUES (0, 'sad'), (1, 'Very Happy'), (2, NULL), (3, 'it''s "so"'), (4, 'größer');

CREATE TABLE ranges (id int PRIMARY KEY, i int4range, n numrange, at tstzrange, d daterange, many int4multirange);
INSERT INTO ranges VALUES
  (0, 'empty', 'empty', 'empty', 'empty', '{}'), (1, '[1,5)', '[1.5,2.5]', '[2024-01-01,2024-01-02)', '[2024-01-01,)', '{[1,3),[5,7)}'),
  (2, NULL, NULL, NULL, NULL, NULL), (3, '(,)', '(,1]', '(,)', '(,2024-01-01)', '{(,3)}');

CREATE TABLE identifiers (id uuid PRIMARY KEY, other uuid);
INSERT INTO identifiers VALUES
  ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', NULL),
  ('00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff');

CREATE TABLE bits (id int PRIMARY KEY, one bit, eight bit(8), var bit varying(70));
INSERT INTO bits VALUES (0, '0', '00000000', ''), (1, '1', '10101010', '1'), (2, NULL, NULL, NULL), (3, '1', '11111111', repeat('01', 35)::bit varying);

CREATE TABLE network (id int PRIMARY KEY, i inet, c cidr, m macaddr, m8 macaddr8);
INSERT INTO network VALUES
  (0, '127.0.0.1', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05'),
  (1, '2001:db8::1/64', '2001:db8::/32', 'ff:ff:ff:ff:ff:ff', NULL), (2, NULL, NULL, NULL, NULL), (3, '192.168.1.7/24', '0.0.0.0/0', NULL, NULL);

CREATE TABLE shapes (id int PRIMARY KEY, p point, b box, c circle, l lseg, poly polygon);
INSERT INTO shapes VALUES (0, '(1.5,2)', '(1,1),(0,0)', '<(0,0),1>', '[(0,0),(1,1)]', '((0,0),(1,0),(1,1))'), (1, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE amounts (id int PRIMARY KEY, m money);
INSERT INTO amounts VALUES (0, '0'), (1, '1234567.89'), (2, NULL), (3, '-0.01'), (4, '92233720368547758.07');

CREATE TABLE odds (id int PRIMARY KEY, x xml, v tsvector, lsn pg_lsn, o oid, ch "char", n name, h hstore);
INSERT INTO odds VALUES
  (0, '<a>b</a>', 'a fat cat', '0/16B3748', 4294967295, 'x', 'name', 'a=>1, "b c"=>NULL'), (1, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, '');

CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN price AS numeric(8, 2);
CREATE TYPE pair AS (a int, b text);
CREATE TABLE own_types (id int PRIMARY KEY, d positive, p price, c pair);
INSERT INTO own_types VALUES (0, 1, 1.25, ROW(1, 'x y')), (1, NULL, NULL, NULL), (2, 2147483647, -999999.99, ROW(NULL, NULL));

CREATE TABLE empty_table (id int PRIMARY KEY, v text);
CREATE TABLE no_columns_filled (id int PRIMARY KEY, a text, b int, c jsonb, d timestamptz);
INSERT INTO no_columns_filled (id) VALUES (1), (2);

CREATE TABLE no_key (v int, t text);
INSERT INTO no_key VALUES (1, 'same'), (1, 'same'), (NULL, NULL), (2, 'other');

CREATE TABLE composite_key (country text, number bigint, at timestamptz, v text, PRIMARY KEY (country, number, at));
INSERT INTO composite_key VALUES
  ('de', 1, '2024-01-01 00:00:00+00', 'a'), ('de', 1, '2024-01-01 00:00:00.000001+00', 'b'),
  ('de', 2, '2024-01-01 00:00:00+00', 'c'), ('DE', 1, '2024-01-01 00:00:00+00', 'd'), ('', 1, '2024-01-01 00:00:00+00', 'e');

CREATE TABLE text_key (code text PRIMARY KEY, v int);
INSERT INTO text_key VALUES ('', 0), (' ', 1), ('a', 2), ('A', 3), ('ä', 4), (U&'a\0308', 5), (U&'\+01F600', 6), (repeat('k', 1024), 7), ('1', 8), ('01', 9);

CREATE TABLE numeric_key (code numeric(20, 5) PRIMARY KEY, v int);
INSERT INTO numeric_key VALUES (1.5, 1), (123456789012345.12345, 2), (-0.00001, 3), (100, 4);

CREATE TABLE parted (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE parted_2023 PARTITION OF parted FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE parted_rest PARTITION OF parted DEFAULT;
INSERT INTO parted VALUES (1, '2023-06-01', 'then'), (1, '2024-06-01', 'now'), (2, '2020-01-01', NULL);

CREATE VIEW a_view AS SELECT id, upper(t) AS loud FROM texts WHERE id < 3;
CREATE MATERIALIZED VIEW a_materialized_view AS SELECT id, price * 2 AS twice FROM numerics;

CREATE TABLE "Upper Case" (id int PRIMARY KEY, v int);
INSERT INTO "Upper Case" VALUES (1, 1);
CREATE TABLE "select" (id int PRIMARY KEY, "from" text, "order" int, "group" boolean);
INSERT INTO "select" VALUES (1, 'where', 2, true);
CREATE TABLE "1st.table, täble" (id int PRIMARY KEY, v int);
INSERT INTO "1st.table, täble" VALUES (1, 1);
CREATE TABLE a_table_whose_stream_has_a_name_of_sixty_three_characters (id int PRIMARY KEY, v int);
INSERT INTO a_table_whose_stream_has_a_name_of_sixty_three_characters VALUES (1, 1);
CREATE TABLE names (
  "Id" int PRIMARY KEY, "UPPER" int, "with space" int, "with.dot" int, "größe" int, "2nd" int, "with-dash" int,
  "a%b" int, "q""uote" int, "_leading" int, "user" int, "$dollar" int, "trailing " int, "x/y" int,
  "back\slash" int, "inner'quote" int, "a_name_of_fifty_nine_characters_the_longest_that_fits_there" int);
INSERT INTO names VALUES (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17);
INSERT INTO names ("Id") VALUES (2);

CREATE TABLE generated (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED);
INSERT INTO generated (a) VALUES (1), (NULL), (1000);

DO $$
BEGIN
  EXECUTE (SELECT 'CREATE TABLE wide (id int PRIMARY KEY, ' || string_agg('c' || n || ' int', ', ') || ')' FROM generate_series(1, 300) n);
END $$;
INSERT INTO wide (id, c1, c300) VALUES (1, 1, 300), (2, NULL, NULL);

CREATE TABLE orders (id int PRIMARY KEY, at timestamptz, name text, price numeric(12, 2), updated timestamptz NOT NULL);
INSERT INTO orders SELECT n, timestamptz '2024-01-01 00:00:00+00' + n * interval '1 minute', 'order ' || n, n / 100.0,
  timestamptz '2024-01-01 00:00:00+00' + n * interval '1 second' FROM generate_series(1, 12000) n;

SET search_path = repaired, public;
CREATE TABLE numeric_nan (id int PRIMARY KEY, n numeric, p numeric(10, 2));
INSERT INTO numeric_nan VALUES (0, 1.5, 1.5), (1, 'NaN', 'NaN'), (2, NULL, NULL);
CREATE TABLE doubles_nan (id int PRIMARY KEY, single real, double double precision);
INSERT INTO doubles_nan VALUES (0, 1.5, 1.5), (1, 'NaN', 'NaN'), (2, 'Infinity', '-Infinity'), (3, NULL, NULL);
CREATE TABLE moments_infinite (id int PRIMARY KEY, at timestamp, at_zone timestamptz, day date);
INSERT INTO moments_infinite VALUES
  (0, '2024-01-01', '2024-01-01', '2024-01-01'), (1, 'infinity', 'infinity', 'infinity'), (2, '-infinity', '-infinity', '-infinity'), (3, NULL, NULL, NULL);
CREATE TABLE moments_far (id int PRIMARY KEY, at timestamp, at_zone timestamptz, day date);
INSERT INTO moments_far VALUES (0, '2024-01-01', '2024-01-01', '2024-01-01'), (1, '294276-12-31 23:59:59', '294276-12-31 23:59:59+00', '5874897-12-31'), (2, '4713-01-01 00:00:00 BC', '4713-01-01 00:00:00+00 BC', '4713-01-01 BC'), (3, NULL, NULL, NULL);
CREATE TABLE json_nul (id int PRIMARY KEY, j json);
INSERT INTO json_nul VALUES (0, '{"t": "a\u0000b"}'), (1, '{"t": "\ud83d alone"}'), (2, '{"t": "fine"}');
CREATE TABLE json_scalars (id int PRIMARY KEY, b jsonb);
INSERT INTO json_scalars VALUES (0, '1'), (1, '"text"'), (2, 'true'), (3, 'null'), (4, NULL), (5, '{"a": 1}'), (6, '[1]'), (7, '1.5');
CREATE TABLE long_names (id int PRIMARY KEY, a_column_with_a_name_of_sixty_three_characters_the_longest_name int);
INSERT INTO long_names VALUES (1, 1);
CREATE TABLE a_table_with_a_name_of_sixty_three_characters_the_longest_there (id int PRIMARY KEY, v int);
INSERT INTO a_table_with_a_name_of_sixty_three_characters_the_longest_there VALUES (1, 1);
CREATE TABLE long_key (code text PRIMARY KEY, v int);
INSERT INTO long_key VALUES ('short', 1), (repeat('k', 1025), 2);
CREATE TABLE like_each_other (id int PRIMARY KEY, "Name" text, name text);
INSERT INTO like_each_other VALUES (1, 'a', 'b');
CREATE TABLE nameless (id int PRIMARY KEY, "名前" int);
INSERT INTO nameless VALUES (1, 2);
CREATE TABLE null_keys (id int, v int, UNIQUE (id));
INSERT INTO null_keys VALUES (NULL, 1), (NULL, 2), (3, 3);

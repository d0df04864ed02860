-- As in postgres.sql: `plain` loads as it is, `repaired` does not.
SET NAMES utf8mb4;
SET sql_mode = '';
SET time_zone = '+00:00';
CREATE DATABASE plain CHARACTER SET utf8mb4;
CREATE DATABASE repaired CHARACTER SET utf8mb4;
USE plain;

CREATE TABLE integers (id int PRIMARY KEY, tiny tinyint, small smallint, medium mediumint, whole int, big bigint,
  tiny_un tinyint unsigned, small_un smallint unsigned, medium_un mediumint unsigned, whole_un int unsigned, big_un bigint unsigned,
  flag tinyint(1));
INSERT INTO integers VALUES
  (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  (1, -128, -32768, -8388608, -2147483648, -9223372036854775808, 0, 0, 0, 0, 1, 1),
  (2, 127, 32767, 8388607, 2147483647, 9223372036854775807, 255, 65535, 16777215, 4294967295, 9223372036854775807, 1),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE zerofilled (id int PRIMARY KEY, filled int(8) zerofill);
INSERT INTO zerofilled VALUES (0, 0), (1, 42), (2, NULL);

CREATE TABLE decimals (id int PRIMARY KEY, price decimal(10, 2), wide decimal(38, 10), widest decimal(65, 30), whole decimal(20));
INSERT INTO decimals VALUES
  (0, 0, 0, 0, 0),
  (1, 99999999.99, 1234567890123456789012345678.0123456789, 12345678901234567890123456789012345.123456789012345678901234567891, 99999999999999999999),
  (2, -99999999.99, -0.0000000001, -0.000000000000000000000000000001, -1), (3, NULL, NULL, NULL, NULL), (4, 0.29, 0.29, 0.29, 29);

CREATE TABLE floats (id int PRIMARY KEY, single float, `double` double);
INSERT INTO floats VALUES (0, 0, 0), (1, 0.5, 0.1), (2, 4096.5, 1.7976931348623157e308), (3, NULL, NULL), (4, -1.25, 5e-324),
  (5, 1024, 123456789.12345679), (6, -0.0, 1e22);

CREATE TABLE texts (id int PRIMARY KEY, v varchar(50), c char(5), t text, m mediumtext, l longtext, tt tinytext, latin varchar(20) CHARACTER SET latin1);
INSERT INTO texts VALUES
  (0, '', '', '', '', '', '', ''), (1, 'plain', 'plain', 'plain', 'plain', 'plain', 'plain', 'plain'),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (3, 'tab\tnewline\nquote"backslash\\', '\\', '\\u0000', '''', 'null', '{}', 'äöü'),
  (4, 'größe 名前 \u00e9', 'é', ' lead', 'trail ', 'NaN', '0', 'é'), (5, '\Z', '%', '%s', '100%', 'a''b', 'x', '%');

CREATE TABLE emoji (id int PRIMARY KEY, t varchar(50));
INSERT INTO emoji VALUES (1, '😀 𠀋 👨‍👩‍👧'), (2, 'none');

CREATE TABLE bytes (id int PRIMARY KEY, b binary(4), vb varbinary(20), bl blob, lb longblob);
INSERT INTO bytes VALUES (0, '', '', '', ''), (1, x'deadbeef', x'00ff', x'00', x'00'), (2, NULL, NULL, NULL, NULL), (3, 'abcd', 'ascii', 'ascii', 'ascii');

CREATE TABLE bits (id int PRIMARY KEY, one bit, eight bit(8), sixty_four bit(64));
INSERT INTO bits VALUES (0, 0, 0, 1), (1, 1, b'10101010', 18446744073709551615), (2, NULL, NULL, NULL);

CREATE TABLE moments (id int PRIMARY KEY, at datetime(6), second datetime, stamp timestamp(6) NULL, day date);
INSERT INTO moments VALUES
  (0, '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56', '2024-02-29 12:34:56.789012', '2024-02-29'),
  (1, '1000-01-01 00:00:00', '1000-01-01 00:00:00', '1970-01-01 00:00:01', '1000-01-01'),
  (2, '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59', '2038-01-19 03:14:07', '9999-12-31'), (3, NULL, NULL, NULL, NULL),
  (4, '0001-01-01 00:00:00', '1890-01-01 00:00:00', '2024-03-31 01:30:00', '1582-10-15');

CREATE TABLE times (id int PRIMARY KEY, t time, fine time(6), y year);
INSERT INTO times VALUES (0, '00:00:00', '00:00:00', 1901), (1, '23:59:59', '23:59:59.999999', 2155), (2, NULL, NULL, NULL), (3, '01:02:03', '12:34:56.5', 2024), (4, '12:00:00', '12:00:00', 0);

CREATE TABLE choices (id int PRIMARY KEY, e enum('sad', 'ok', 'Very Happy', 'it''s', 'größer', ''), s set('a', 'b', 'c d'));
INSERT INTO choices VALUES (0, 'sad', 'a'), (1, 'Very Happy', 'a,c d'), (2, NULL, NULL), (3, 'it''s', ''), (4, 'größer', 'a,b,c d'), (5, '', '');

CREATE TABLE json_texts (id int PRIMARY KEY, j json);
INSERT INTO json_texts VALUES (0, '{}'), (1, '{"a": 1, "b": {"c": [1, {"d": null}]}}'), (2, NULL), (3, '[1, "a", 1.50]'), (4, '"text"'), (5, '{"n": 12345678901234567890.123}');

CREATE TABLE shapes (id int PRIMARY KEY, p point, g geometry);
INSERT INTO shapes VALUES (0, point(1, 2), ST_GeomFromText('LINESTRING(0 0, 1 1)'));

CREATE TABLE others (id int PRIMARY KEY, u uuid, i inet6);
INSERT INTO others VALUES (0, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2001:db8::1'), (1, NULL, NULL);

CREATE TABLE empty_table (id int PRIMARY KEY, v text);
CREATE TABLE no_columns_filled (id int PRIMARY KEY, a text, b int, d datetime);
INSERT INTO no_columns_filled (id) VALUES (1), (2);
CREATE TABLE no_key (v int, t text);
INSERT INTO no_key VALUES (1, 'same'), (1, 'same'), (NULL, NULL), (2, 'other');
CREATE TABLE composite_key (country varchar(5) COLLATE utf8mb4_bin, number bigint, at datetime(6), v text, PRIMARY KEY (country, number, at));
INSERT INTO composite_key VALUES ('de', 1, '2024-01-01', 'a'), ('de', 1, '2024-01-01 00:00:00.000001', 'b'), ('de', 2, '2024-01-01', 'c'), ('DE', 1, '2024-01-01', 'd'), ('', 1, '2024-01-01', 'e');
CREATE TABLE auto_key (id int AUTO_INCREMENT PRIMARY KEY, v text);
INSERT INTO auto_key (v) VALUES ('a'), ('b'), (NULL);
CREATE TABLE text_key (code varchar(200) COLLATE utf8mb4_bin PRIMARY KEY, v int);
INSERT INTO text_key VALUES ('', 0), ('a', 2), ('A', 3), ('ä', 4), (repeat('k', 200), 7), ('1', 8), ('01', 9);
CREATE TABLE decimal_key (code decimal(20, 5) PRIMARY KEY, v int);
INSERT INTO decimal_key VALUES (1.5, 1), (123456789012345.12345, 2), (-0.00001, 3), (100, 4);
CREATE TABLE parted (id int, y int, v text, PRIMARY KEY (id, y)) PARTITION BY RANGE (y) (PARTITION p0 VALUES LESS THAN (2024),
  PARTITION p1 VALUES LESS THAN MAXVALUE);
INSERT INTO parted VALUES (1, 2023, 'then'), (1, 2024, 'now');
CREATE VIEW a_view AS SELECT id, upper(v) AS loud FROM texts WHERE id < 3;
CREATE TABLE generated_columns (id int PRIMARY KEY, a int, twice int AS (a * 2) STORED, thrice int AS (a * 3) VIRTUAL);
INSERT INTO generated_columns (id, a) VALUES (1, 1), (2, NULL);

CREATE TABLE `Upper Case` (id int PRIMARY KEY, v int);
INSERT INTO `Upper Case` VALUES (1, 1);
CREATE TABLE `select` (id int PRIMARY KEY, `from` text, `order` int);
INSERT INTO `select` VALUES (1, 'where', 2);
CREATE TABLE `1st.table, täble` (id int PRIMARY KEY, v int);
INSERT INTO `1st.table, täble` VALUES (1, 1);
CREATE TABLE a_table_whose_stream_has_a_name_of_sixty_three_characters (id int PRIMARY KEY, v int);
INSERT INTO a_table_whose_stream_has_a_name_of_sixty_three_characters VALUES (1, 1);
CREATE TABLE names (`Id` int PRIMARY KEY, `UPPER` int, `with space` int, `with.dot` int, `größe` int, `2nd` int, `with-dash` int, `q"uote` int,
  `_leading` int, `user` int, `$dollar` int, `x/y` int, `a%b` int);
INSERT INTO names VALUES (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13);
INSERT INTO names (`Id`) VALUES (2);
CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, at datetime, name text, price decimal(12, 2), updated datetime NOT NULL);
INSERT INTO orders SELECT seq, '2024-01-01' + INTERVAL seq MINUTE, concat('order ', seq), seq / 100, '2024-01-01' + INTERVAL seq SECOND FROM seq_1_to_12000;

USE repaired;
CREATE TABLE zero_dates (id int PRIMARY KEY, at datetime, day date);
INSERT INTO zero_dates VALUES (0, '2024-01-01', '2024-01-01'), (1, '0000-00-00', '0000-00-00'), (2, NULL, NULL), (3, '2024-00-00', '2024-02-00');
CREATE TABLE times_long (id int PRIMARY KEY, t time);
INSERT INTO times_long VALUES (0, '838:59:59'), (1, '-838:59:59'), (2, '25:00:00');
CREATE TABLE nuls (id int PRIMARY KEY, t text);
INSERT INTO nuls VALUES (0, 'a\0b'), (1, '\0'), (2, 'fine');
CREATE TABLE floats_short (id int PRIMARY KEY, single float);
INSERT INTO floats_short VALUES (0, 0.1), (1, 3.4028235e38), (2, 1e-38), (3, 123456.79);
CREATE TABLE integers_unsigned (id int PRIMARY KEY, big_un bigint unsigned);
INSERT INTO integers_unsigned VALUES (1, 18446744073709551615), (2, 9223372036854775808), (3, NULL);
CREATE TABLE like_each_other (id int PRIMARY KEY, `name.a` text, `name-a` text);
INSERT INTO like_each_other VALUES (1, 'a', 'b');

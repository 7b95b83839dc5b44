-- An orders shop on MySQL or MariaDB: the table, some rows, the receipt table, and two accounts of few rights.
-- Run it as an administrator: mysql --host=127.0.0.1 --user=root < mysql.sql

CREATE DATABASE shop CHARACTER SET utf8mb4;
USE shop;
CREATE TABLE orders (
  order_number VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  shop_id VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  customer_name VARCHAR(120) NOT NULL,
  status ENUM('placed', 'packed', 'shipped', 'canceled') NOT NULL,
  ship_street VARCHAR(120) NOT NULL,
  ship_city VARCHAR(80) NOT NULL,
  ship_postcode VARCHAR(12) NOT NULL,
  total_amount DECIMAL(12,2) NOT NULL,
  internal_note TEXT,
  placed_at DATETIME(6) NOT NULL,
  version INT UNSIGNED NOT NULL,
  KEY orders_by_shop (shop_id, placed_at)
) ENGINE=InnoDB;
INSERT INTO orders VALUES
  ('SO-1001', 'nord', 'Ines Falk', 'placed', 'Hafenweg 4', 'Kiel', '24103', 149.90, 'asked twice about gift wrap', '2026-03-02 09:15:00', 1),
  ('SO-1002', 'nord', 'Jonas Brandt', 'packed', 'Lange Reihe 17', 'Hamburg', '20099', 18.00, NULL, '2026-03-01 17:40:12.250001', 3),
  ('SO-1003', 'nord', 'Mira Sol', 'shipped', 'Am Markt 1', 'Bremen', '28195', 1204.55, NULL, '2026-02-25 08:00:00', 5),
  ('SO-2001', 'sued', 'Toni Huber', 'placed', 'Ringstrasse 30', 'Ulm', '89073', 62.10, 'pays on account', '2026-03-02 11:05:30', 1);

-- What `synapsor-runner writeback migration --config mysql.runner.json` prints.
CREATE TABLE IF NOT EXISTS `shop`.`synapsor_writeback_receipts` (
  proposal_id VARCHAR(64) NOT NULL PRIMARY KEY,
  proposal_digest VARCHAR(128) NOT NULL,
  outcome VARCHAR(64) NOT NULL,
  reason TEXT NOT NULL,
  rows_affected INT UNSIGNED NOT NULL,
  previous_version MEDIUMTEXT,
  new_version MEDIUMTEXT,
  fence BIGINT UNSIGNED NOT NULL,
  executor_id VARCHAR(255) NOT NULL,
  ledger_size BIGINT UNSIGNED NOT NULL,
  ledger_root VARCHAR(128) NOT NULL,
  db_identity VARCHAR(255) NOT NULL,
  created_at VARCHAR(32) NOT NULL,
  receipt MEDIUMTEXT NOT NULL,
  executor_key VARCHAR(128) NOT NULL,
  executor_sig VARCHAR(255) NOT NULL,
  KEY receipts_by_time (created_at, proposal_id)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS `shop`.`synapsor_database_identity` (
  id TINYINT NOT NULL PRIMARY KEY,
  instance VARCHAR(64) NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT IGNORE INTO `shop`.`synapsor_database_identity` (id, instance) VALUES (1, /*!80000 LOWER(HEX(RANDOM_BYTES(16))) *//*M! MD5(CONCAT(UUID(), UUID_SHORT(), RAND())) */);
DROP PROCEDURE IF EXISTS `shop`.`synapsor_table_catalogue`;
DROP PROCEDURE IF EXISTS `shop`.`synapsor_table_catalogue_body`;
CREATE PROCEDURE `shop`.`synapsor_table_catalogue_body` (IN wanted VARCHAR(64) CHARACTER SET utf8mb4)
  READS SQL DATA SQL SECURITY DEFINER
SELECT 'table' AS what, CONVERT(TABLE_NAME USING utf8mb4), CONVERT(TABLE_TYPE USING utf8mb4), CONVERT(ENGINE USING utf8mb4), CONVERT(CREATE_OPTIONS USING utf8mb4), NULL, NULL, CAST(0 AS CHAR) AS n FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = wanted
UNION ALL SELECT 'column' AS what, CONVERT(COLUMN_NAME USING utf8mb4), CONVERT(COLUMN_TYPE USING utf8mb4), CONVERT(IS_NULLABLE USING utf8mb4), CONVERT(EXTRA USING utf8mb4), CONVERT(COLLATION_NAME USING utf8mb4), CONVERT(COLUMN_DEFAULT USING utf8mb4), CAST(ORDINAL_POSITION AS CHAR) AS n FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = wanted
UNION ALL SELECT 'index' AS what, CONVERT(INDEX_NAME USING utf8mb4), CONVERT(COLUMN_NAME USING utf8mb4), CONVERT(NON_UNIQUE USING utf8mb4), CONVERT(SUB_PART USING utf8mb4), CONVERT(/*!80000 EXPRESSION *//*M! NULL */ USING utf8mb4), NULL, CAST(SEQ_IN_INDEX AS CHAR) AS n FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = wanted
UNION ALL SELECT 'trigger' AS what, CONVERT(TRIGGER_NAME USING utf8mb4), CONVERT(EVENT_MANIPULATION USING utf8mb4), CONVERT(ACTION_TIMING USING utf8mb4), CONVERT(ACTION_STATEMENT USING utf8mb4), CONVERT(DEFINER USING utf8mb4), CONVERT(CONCAT_WS('|', SQL_MODE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, DATABASE_COLLATION) USING utf8mb4), CAST(ACTION_ORDER AS CHAR) AS n FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = 'shop' AND EVENT_OBJECT_TABLE = wanted
UNION ALL SELECT 'check' AS what, CONVERT(c.CONSTRAINT_NAME USING utf8mb4), CONVERT(c.CHECK_CLAUSE USING utf8mb4), NULL, NULL, NULL, NULL, CAST(0 AS CHAR) AS n FROM information_schema.CHECK_CONSTRAINTS AS c /*!80000 JOIN information_schema.TABLE_CONSTRAINTS AS t ON t.CONSTRAINT_SCHEMA = c.CONSTRAINT_SCHEMA AND t.CONSTRAINT_NAME = c.CONSTRAINT_NAME AND t.CONSTRAINT_TYPE = 'CHECK' */ WHERE c.CONSTRAINT_SCHEMA = 'shop' AND TABLE_NAME = wanted
UNION ALL SELECT 'generation' AS what, CONVERT(COLUMN_NAME USING utf8mb4), CONVERT(GENERATION_EXPRESSION USING utf8mb4), NULL, NULL, NULL, NULL, CAST(ORDINAL_POSITION AS CHAR) AS n FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = wanted AND GENERATION_EXPRESSION <> ''
UNION ALL SELECT 'reference' AS what, CONVERT(f.ID USING utf8mb4), CONVERT(f.FOR_NAME USING utf8mb4), CONVERT(c.FOR_COL_NAME USING utf8mb4), CONVERT(c.REF_COL_NAME USING utf8mb4), CONVERT(f.TYPE USING utf8mb4), NULL, CAST(c.POS AS CHAR) AS n FROM information_schema./*!80000 INNODB_FOREIGN *//*M! INNODB_SYS_FOREIGN */ AS f JOIN information_schema./*!80000 INNODB_FOREIGN_COLS *//*M! INNODB_SYS_FOREIGN_COLS */ AS c ON c.ID = f.ID WHERE f.REF_NAME = CONCAT('shop/', wanted)
UNION ALL SELECT 'foreign' AS what, CONVERT(CONSTRAINT_NAME USING utf8mb4), CONVERT(COLUMN_NAME USING utf8mb4), CONVERT(REFERENCED_TABLE_SCHEMA USING utf8mb4), CONVERT(REFERENCED_TABLE_NAME USING utf8mb4), CONVERT(REFERENCED_COLUMN_NAME USING utf8mb4), NULL, CAST(ORDINAL_POSITION AS CHAR) AS n FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = wanted AND REFERENCED_TABLE_NAME IS NOT NULL
UNION ALL SELECT 'sees' AS what, NULL, NULL, NULL, NULL, NULL, NULL, CAST((EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'TRIGGER' AND REPLACE(GRANTEE, '''', '') = CURRENT_USER()) OR EXISTS (SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES WHERE PRIVILEGE_TYPE = 'TRIGGER' AND REPLACE(GRANTEE, '''', '') = CURRENT_USER() AND TABLE_SCHEMA = 'shop') OR EXISTS (SELECT 1 FROM information_schema.TABLE_PRIVILEGES WHERE PRIVILEGE_TYPE = 'TRIGGER' AND REPLACE(GRANTEE, '''', '') = CURRENT_USER() AND TABLE_SCHEMA = 'shop' AND TABLE_NAME = wanted)) AS CHAR) AS n
UNION ALL SELECT 'receipts' AS what, CONVERT('shop' USING utf8mb4), CONVERT('synapsor_writeback_receipts' USING utf8mb4), CONVERT((EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'TRIGGER' AND REPLACE(GRANTEE, '''', '') = CURRENT_USER()) OR EXISTS (SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES WHERE PRIVILEGE_TYPE = 'TRIGGER' AND REPLACE(GRANTEE, '''', '') = CURRENT_USER() AND TABLE_SCHEMA = 'shop') OR EXISTS (SELECT 1 FROM information_schema.TABLE_PRIVILEGES WHERE PRIVILEGE_TYPE = 'TRIGGER' AND REPLACE(GRANTEE, '''', '') = CURRENT_USER() AND TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'synapsor_writeback_receipts')) USING utf8mb4), NULL, NULL, NULL, CAST((SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = 'shop' AND EVENT_OBJECT_TABLE = 'synapsor_writeback_receipts') AS CHAR) AS n;
CREATE PROCEDURE `shop`.`synapsor_table_catalogue` (IN wanted VARCHAR(64) CHARACTER SET utf8mb4)
  READS SQL DATA SQL SECURITY DEFINER
CALL `shop`.`synapsor_table_catalogue_body`(wanted);
DROP PROCEDURE IF EXISTS `shop`.`synapsor_routines`;
CREATE PROCEDURE `shop`.`synapsor_routines` (IN texts LONGTEXT CHARACTER SET utf8mb4)
  READS SQL DATA SQL SECURITY DEFINER
SELECT 'routine' AS what, CONVERT(ROUTINE_NAME USING utf8mb4), CONVERT(ROUTINE_TYPE USING utf8mb4), CONVERT(ROUTINE_DEFINITION USING utf8mb4), CONVERT(ROUTINE_BODY USING utf8mb4), CONVERT(DEFINER USING utf8mb4), CONVERT(CONCAT_WS('|', SECURITY_TYPE, SQL_DATA_ACCESS, IS_DETERMINISTIC, SQL_MODE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, DATABASE_COLLATION, DTD_IDENTIFIER) USING utf8mb4), CAST(0 AS CHAR) AS n FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'shop' AND INSTR(texts COLLATE utf8mb4_general_ci, CONVERT(ROUTINE_NAME USING utf8mb4) COLLATE utf8mb4_general_ci) > 0
UNION ALL SELECT 'parameter' AS what, CONVERT(SPECIFIC_NAME USING utf8mb4), CONVERT(ROUTINE_TYPE USING utf8mb4), CONVERT(CONCAT_WS('|', PARAMETER_MODE, PARAMETER_NAME, DTD_IDENTIFIER, CHARACTER_SET_NAME, COLLATION_NAME) USING utf8mb4), NULL, NULL, NULL, CAST(ORDINAL_POSITION AS CHAR) AS n FROM information_schema.PARAMETERS WHERE SPECIFIC_SCHEMA = 'shop' AND INSTR(texts COLLATE utf8mb4_general_ci, CONVERT(SPECIFIC_NAME USING utf8mb4) COLLATE utf8mb4_general_ci) > 0
UNION ALL SELECT 'sees' AS what, NULL, NULL, NULL, NULL, NULL, NULL, CAST((EXISTS (SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'EXECUTE' AND REPLACE(GRANTEE, '''', '') = CURRENT_USER()) OR EXISTS (SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES WHERE PRIVILEGE_TYPE = 'EXECUTE' AND REPLACE(GRANTEE, '''', '') = CURRENT_USER() AND TABLE_SCHEMA = 'shop')) AS CHAR) AS n
UNION ALL SELECT 'elsewhere' AS what, NULL, NULL, NULL, NULL, NULL, NULL, CAST(EXISTS (SELECT 1 FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA <> 'shop' AND INSTR(texts COLLATE utf8mb4_general_ci, CONVERT(ROUTINE_SCHEMA USING utf8mb4) COLLATE utf8mb4_general_ci) > 0 AND INSTR(texts COLLATE utf8mb4_general_ci, CONVERT(ROUTINE_NAME USING utf8mb4) COLLATE utf8mb4_general_ci) > 0) AS CHAR) AS n;
DROP PROCEDURE IF EXISTS `shop`.`synapsor_rows_modified`;
CREATE PROCEDURE `shop`.`synapsor_rows_modified` (IN nonce VARCHAR(64) CHARACTER SET utf8mb4, OUT answer TEXT CHARACTER SET utf8mb4)
  READS SQL DATA SQL SECURITY DEFINER
SET answer = (SELECT CONCAT(trx_rows_modified, ' ', trx_query) FROM information_schema.INNODB_TRX
  WHERE trx_mysql_thread_id = CONNECTION_ID());

-- Two accounts that cannot log in before they get a password: ALTER USER … ACCOUNT UNLOCK IDENTIFIED BY '…'.
CREATE USER orders_reader ACCOUNT LOCK;
CREATE USER orders_writer ACCOUNT LOCK;

-- What `synapsor-runner writeback grants --config mysql.runner.json --read-role orders_reader --writer-role orders_writer`
-- prints.
-- The reader: the columns that capabilities read, and which database this is.
GRANT SELECT (`order_number`, `customer_name`, `status`, `ship_street`, `ship_city`, `ship_postcode`, `total_amount`, `placed_at`, `version`, `shop_id`) ON `shop`.`orders` TO `orders_reader`@`%`;
GRANT EXECUTE ON PROCEDURE `shop`.`synapsor_table_catalogue` TO `orders_reader`@`%`;
GRANT EXECUTE ON PROCEDURE `shop`.`synapsor_routines` TO `orders_reader`@`%`;
GRANT SELECT ON `shop`.`synapsor_database_identity` TO `orders_reader`@`%`;
-- The writer: the columns that it compares, the columns that it sets, and new receipts.
GRANT SELECT (`order_number`, `customer_name`, `status`, `ship_street`, `ship_city`, `ship_postcode`, `total_amount`, `placed_at`, `version`, `shop_id`) ON `shop`.`orders` TO `orders_writer`@`%`;
GRANT UPDATE (`ship_street`, `ship_city`, `ship_postcode`, `version`, `status`) ON `shop`.`orders` TO `orders_writer`@`%`;
GRANT EXECUTE ON PROCEDURE `shop`.`synapsor_table_catalogue` TO `orders_writer`@`%`;
GRANT EXECUTE ON PROCEDURE `shop`.`synapsor_routines` TO `orders_writer`@`%`;
GRANT EXECUTE ON PROCEDURE `shop`.`synapsor_rows_modified` TO `orders_writer`@`%`;
GRANT SELECT ON `shop`.`synapsor_database_identity` TO `orders_writer`@`%`;
GRANT SELECT, INSERT ON `shop`.`synapsor_writeback_receipts` TO `orders_writer`@`%`;

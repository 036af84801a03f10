CREATE TABLE `findings` (
	`store_id` text NOT NULL,
	`key` text NOT NULL,
	`state` text NOT NULL,
	PRIMARY KEY(`store_id`, `key`)
);
--> statement-breakpoint
INSERT INTO `findings` (`store_id`, `key`, `state`)
SELECT json_extract(`body`, '$.storeId'), json_extract(`body`, '$.key'), json_extract(`body`, '$.state')
  FROM `reports` WHERE `kind` = 'copy' ORDER BY `seq`
    ON CONFLICT (`store_id`, `key`) DO UPDATE SET `state` = excluded.`state`;

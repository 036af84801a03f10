CREATE TABLE `found_databases` (
	`entry` text NOT NULL,
	`name` text NOT NULL,
	`found_at` integer NOT NULL,
	`gone_at` integer,
	PRIMARY KEY(`entry`, `name`)
);
--> statement-breakpoint
ALTER TABLE `seals` ADD `globals` blob;
CREATE TABLE `found_databases` (
	`entry` text NOT NULL,
	`name` text NOT NULL,
	`found_at` integer NOT NULL,
	`gone_at` integer,
	PRIMARY KEY(`entry`, `name`)
);
--> statement-breakpoint
CREATE TABLE `policies` (
	`database_id` text PRIMARY KEY NOT NULL,
	`version` integer NOT NULL,
	`policy` text NOT NULL,
	`pins` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `surveys` (
	`store_id` text PRIMARY KEY NOT NULL,
	`looked_at` integer NOT NULL,
	`told_at` integer NOT NULL,
	`items` text NOT NULL,
	`dates` text NOT NULL
);
--> statement-breakpoint
ALTER TABLE `seals` ADD `globals` blob;
CREATE TABLE `drift` (
	`store_id` text NOT NULL,
	`by` text NOT NULL,
	`kind` text NOT NULL,
	`key` text NOT NULL,
	`text` text NOT NULL,
	`first_seen_at` integer NOT NULL,
	PRIMARY KEY(`store_id`, `by`, `kind`, `key`),
	FOREIGN KEY (`store_id`) REFERENCES `stores`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE TABLE `pins` (
	`backup_id` text PRIMARY KEY NOT NULL,
	`reason` text NOT NULL,
	`until` integer,
	`created_at` integer NOT NULL,
	`created_by` text NOT NULL,
	FOREIGN KEY (`backup_id`) REFERENCES `backups`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE TABLE `policies` (
	`database_id` text NOT NULL,
	`version` integer NOT NULL,
	`policy` text NOT NULL,
	`changed_at` integer NOT NULL,
	`changed_by` text NOT NULL,
	PRIMARY KEY(`database_id`, `version`),
	FOREIGN KEY (`database_id`) REFERENCES `databases`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
ALTER TABLE `copies` ADD `modified_at` integer;--> statement-breakpoint
ALTER TABLE `copies` ADD `host_since` integer;--> statement-breakpoint
ALTER TABLE `databases` ADD `gone` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `databases` ADD `runs_policy` integer;--> statement-breakpoint
ALTER TABLE `stores` ADD `looked_at` integer;
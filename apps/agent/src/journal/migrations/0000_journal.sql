CREATE TABLE `runs` (
	`id` text PRIMARY KEY NOT NULL,
	`kind` text NOT NULL,
	`environment` text NOT NULL,
	`database` text NOT NULL,
	`database_id` text NOT NULL,
	`state` text NOT NULL,
	`started_at` integer NOT NULL,
	`finished_at` integer,
	`owner` text NOT NULL,
	`detail` text NOT NULL,
	`error_code` text,
	`error` text
);
--> statement-breakpoint
CREATE INDEX `runs_by_state` ON `runs` (`state`);--> statement-breakpoint
CREATE INDEX `runs_by_database` ON `runs` (`database_id`,`started_at`);--> statement-breakpoint
CREATE TABLE `seals` (
	`run_id` text PRIMARY KEY NOT NULL,
	`backup_id` text NOT NULL,
	`manifest` text NOT NULL,
	`manifest_sha256` text NOT NULL,
	`privileges` blob,
	FOREIGN KEY (`run_id`) REFERENCES `runs`(`id`) ON UPDATE no action ON DELETE cascade
);

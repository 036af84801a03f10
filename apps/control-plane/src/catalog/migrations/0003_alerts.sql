CREATE TABLE `alerts` (
	`id` text PRIMARY KEY NOT NULL,
	`rule` text NOT NULL,
	`subject` text NOT NULL,
	`name` text NOT NULL,
	`environment` text,
	`database_id` text,
	`state` text NOT NULL,
	`severity` text NOT NULL,
	`text` text NOT NULL,
	`opened_at` integer NOT NULL,
	`clear_since` integer,
	`resolved_at` integer,
	`acknowledged_at` integer,
	`acknowledged_by` text,
	`note` text,
	`silenced_until` integer,
	`silenced_by` text,
	`told` integer NOT NULL,
	`remind_at` integer,
	`untold` text,
	`untold_since` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `alerts_open` ON `alerts` (`rule`,`subject`) WHERE resolved_at IS NULL;--> statement-breakpoint
CREATE INDEX `alerts_by_opened` ON `alerts` (`opened_at`);--> statement-breakpoint
CREATE INDEX `alerts_by_environment` ON `alerts` (`environment`,`opened_at`);--> statement-breakpoint
CREATE INDEX `alerts_untold` ON `alerts` (`untold`);--> statement-breakpoint
CREATE TABLE `digests` (
	`channel` text PRIMARY KEY NOT NULL,
	`seen_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `message_paces` (
	`group` text PRIMARY KEY NOT NULL,
	`messages` integer NOT NULL,
	`last_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `notices` (
	`id` text PRIMARY KEY NOT NULL,
	`channel` text NOT NULL,
	`group` text NOT NULL,
	`state` text NOT NULL,
	`notice` text NOT NULL,
	`created_at` integer NOT NULL,
	`attempts` integer NOT NULL,
	`next_attempt_at` integer NOT NULL,
	`error` text,
	`ended_at` integer
);
--> statement-breakpoint
CREATE INDEX `notices_by_state` ON `notices` (`state`,`next_attempt_at`);--> statement-breakpoint
CREATE INDEX `notices_by_channel` ON `notices` (`channel`,`created_at`);--> statement-breakpoint
ALTER TABLE `backups` ADD `comparison` text;--> statement-breakpoint
ALTER TABLE `stores` ADD `retention_waits` text;--> statement-breakpoint
CREATE INDEX `runs_by_kind_of_database` ON `runs` (`database_id`,`kind`,`ended_at`);
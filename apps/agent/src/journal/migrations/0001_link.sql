CREATE TABLE `commands` (
	`id` text PRIMARY KEY NOT NULL,
	`kind` text NOT NULL,
	`database_id` text NOT NULL,
	`run_id` text,
	`body` text NOT NULL,
	`issued_at` integer NOT NULL,
	`expires_at` integer NOT NULL,
	`received_at` integer NOT NULL,
	`state` text NOT NULL,
	`ended_at` integer,
	`code` text,
	`reason` text
);
--> statement-breakpoint
CREATE INDEX `commands_by_state` ON `commands` (`state`);--> statement-breakpoint
CREATE INDEX `commands_by_run` ON `commands` (`run_id`);--> statement-breakpoint
CREATE TABLE `journal` (
	`row` integer PRIMARY KEY NOT NULL,
	`journal_id` text NOT NULL,
	`last_seq` integer NOT NULL,
	`sent_seq` integer NOT NULL,
	`link` text
);
--> statement-breakpoint
CREATE TABLE `reports` (
	`report_id` text PRIMARY KEY NOT NULL,
	`seq` integer NOT NULL,
	`kind` text NOT NULL,
	`at` integer NOT NULL,
	`body` text NOT NULL,
	`answered_at` integer,
	`answer` text,
	`code` text,
	`reason` text
);
--> statement-breakpoint
CREATE UNIQUE INDEX `reports_by_seq` ON `reports` (`seq`);--> statement-breakpoint
CREATE INDEX `reports_by_answer` ON `reports` (`answer`,`at`);
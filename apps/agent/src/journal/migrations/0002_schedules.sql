CREATE TABLE `due_runs` (
	`database_id` text PRIMARY KEY NOT NULL,
	`kind` text NOT NULL,
	`due_at` integer NOT NULL,
	`run_id` text NOT NULL,
	`attempt` integer NOT NULL,
	`not_before` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `schedules` (
	`id` text PRIMARY KEY NOT NULL,
	`seen_at` integer NOT NULL,
	`moments` text NOT NULL
);

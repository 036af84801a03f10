CREATE TABLE `__new_due_runs` (
	`database_id` text NOT NULL,
	`kind` text NOT NULL,
	`due_at` integer NOT NULL,
	`run_id` text NOT NULL,
	`attempt` integer NOT NULL,
	`not_before` integer NOT NULL,
	`stores` text,
	PRIMARY KEY(`database_id`, `kind`)
);
--> statement-breakpoint
INSERT INTO `__new_due_runs`("database_id", "kind", "due_at", "run_id", "attempt", "not_before", "stores") SELECT "database_id", "kind", "due_at", "run_id", "attempt", "not_before", NULL FROM `due_runs`;--> statement-breakpoint
DROP TABLE `due_runs`;--> statement-breakpoint
ALTER TABLE `__new_due_runs` RENAME TO `due_runs`;
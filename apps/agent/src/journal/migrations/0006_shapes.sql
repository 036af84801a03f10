CREATE TABLE `shapes` (
	`run_id` text PRIMARY KEY NOT NULL,
	`database_id` text NOT NULL,
	`shape` blob NOT NULL,
	FOREIGN KEY (`run_id`) REFERENCES `runs`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `shapes_by_database` ON `shapes` (`database_id`);
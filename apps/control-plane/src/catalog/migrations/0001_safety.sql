ALTER TABLE `backups` ADD `safety` integer DEFAULT false NOT NULL;--> statement-breakpoint
CREATE INDEX `runs_by_kind` ON `runs` (`kind`,`state`,`ended_at`);
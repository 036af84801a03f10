CREATE TABLE `agents` (
	`id` text PRIMARY KEY NOT NULL,
	`environment` text NOT NULL,
	`hostname` text NOT NULL,
	`version` text NOT NULL,
	`public_key_pem` text NOT NULL,
	`credential_hash` text,
	`enrolled_at` integer NOT NULL,
	`connected_at` integer,
	`last_seen_at` integer,
	`command_kinds` text NOT NULL,
	`reachable_store_ids` text NOT NULL,
	FOREIGN KEY (`environment`) REFERENCES `environments`(`name`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `agents_by_key` ON `agents` (`environment`,`public_key_pem`);--> statement-breakpoint
CREATE UNIQUE INDEX `agents_by_credential` ON `agents` (`credential_hash`);--> statement-breakpoint
CREATE TABLE `audit` (
	`seq` integer PRIMARY KEY NOT NULL,
	`at` integer NOT NULL,
	`actor` text NOT NULL,
	`action` text NOT NULL,
	`environment` text,
	`subject` text,
	`detail` text NOT NULL,
	`previous_hash` text NOT NULL,
	`hash` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `audit_by_subject` ON `audit` (`subject`);--> statement-breakpoint
CREATE INDEX `audit_by_environment` ON `audit` (`environment`,`seq`);--> statement-breakpoint
CREATE TABLE `backups` (
	`id` text PRIMARY KEY NOT NULL,
	`database_id` text NOT NULL,
	`run_id` text NOT NULL,
	`agent_id` text NOT NULL,
	`state` text NOT NULL,
	`object_name` text NOT NULL,
	`bytes` integer NOT NULL,
	`raw_bytes` integer NOT NULL,
	`sha256` text NOT NULL,
	`manifest_sha256` text NOT NULL,
	`rows` integer NOT NULL,
	`tables` integer NOT NULL,
	`host_snapshot_at` integer,
	`host_finished_at` integer NOT NULL,
	`recorded_at` integer NOT NULL,
	`server_version` text NOT NULL,
	`pg_dump_version` text NOT NULL,
	`database_bytes` integer NOT NULL,
	`has_privileges` integer NOT NULL,
	FOREIGN KEY (`database_id`) REFERENCES `databases`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`agent_id`) REFERENCES `agents`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `backups_by_database` ON `backups` (`database_id`,`host_finished_at`);--> statement-breakpoint
CREATE TABLE `commands` (
	`id` text PRIMARY KEY NOT NULL,
	`agent_id` text NOT NULL,
	`kind` text NOT NULL,
	`database_id` text NOT NULL,
	`run_id` text,
	`state` text NOT NULL,
	`body` text NOT NULL,
	`issued_at` integer NOT NULL,
	`expires_at` integer NOT NULL,
	`delivered_at` integer,
	`acknowledged_at` integer,
	`ended_at` integer,
	`reason_code` text,
	`reason` text,
	FOREIGN KEY (`agent_id`) REFERENCES `agents`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`database_id`) REFERENCES `databases`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `commands_by_agent` ON `commands` (`agent_id`,`state`);--> statement-breakpoint
CREATE INDEX `commands_by_state` ON `commands` (`state`,`expires_at`);--> statement-breakpoint
CREATE TABLE `copies` (
	`backup_id` text NOT NULL,
	`store_id` text NOT NULL,
	`key` text NOT NULL,
	`state` text NOT NULL,
	`size_bytes` integer,
	`verified_at` integer,
	`error_code` text,
	`error` text,
	`changed_at` integer NOT NULL,
	PRIMARY KEY(`backup_id`, `store_id`),
	FOREIGN KEY (`backup_id`) REFERENCES `backups`(`id`) ON UPDATE no action ON DELETE cascade,
	FOREIGN KEY (`store_id`) REFERENCES `stores`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `copies_by_store` ON `copies` (`store_id`);--> statement-breakpoint
CREATE TABLE `databases` (
	`id` text PRIMARY KEY NOT NULL,
	`environment` text NOT NULL,
	`name` text NOT NULL,
	`agent_id` text NOT NULL,
	`allow` text NOT NULL,
	`policy` text NOT NULL,
	`first_seen_at` integer NOT NULL,
	`declared` integer NOT NULL,
	FOREIGN KEY (`environment`) REFERENCES `environments`(`name`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`agent_id`) REFERENCES `agents`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `databases_by_name` ON `databases` (`environment`,`name`);--> statement-breakpoint
CREATE INDEX `databases_by_agent` ON `databases` (`agent_id`);--> statement-breakpoint
CREATE TABLE `enrol_tokens` (
	`hash` text PRIMARY KEY NOT NULL,
	`environment` text NOT NULL,
	`created_at` integer NOT NULL,
	`expires_at` integer NOT NULL,
	`used_at` integer,
	`agent_id` text,
	FOREIGN KEY (`environment`) REFERENCES `environments`(`name`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE TABLE `environments` (
	`name` text PRIMARY KEY NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `idempotency_keys` (
	`caller_id` text NOT NULL,
	`key` text NOT NULL,
	`body_hash` text NOT NULL,
	`run_id` text NOT NULL,
	`created_at` integer NOT NULL,
	PRIMARY KEY(`caller_id`, `key`)
);
--> statement-breakpoint
CREATE TABLE `journals` (
	`agent_id` text NOT NULL,
	`journal_id` text NOT NULL,
	`high_water` integer NOT NULL,
	PRIMARY KEY(`agent_id`, `journal_id`),
	FOREIGN KEY (`agent_id`) REFERENCES `agents`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE TABLE `keys` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`hash` text NOT NULL,
	`role` text NOT NULL,
	`environments` text,
	`created_at` integer NOT NULL,
	`created_by` text NOT NULL,
	`expires_at` integer,
	`revoked_at` integer,
	`last_used_at` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `keys_by_hash` ON `keys` (`hash`);--> statement-breakpoint
CREATE TABLE `reports` (
	`agent_id` text NOT NULL,
	`report_id` text NOT NULL,
	`journal_id` text NOT NULL,
	`seq` integer NOT NULL,
	`kind` text NOT NULL,
	`host_at` integer NOT NULL,
	`received_at` integer NOT NULL,
	`answer` text NOT NULL,
	`code` text,
	`reason` text,
	`body` text,
	PRIMARY KEY(`agent_id`, `report_id`),
	FOREIGN KEY (`agent_id`) REFERENCES `agents`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `reports_by_journal` ON `reports` (`agent_id`,`journal_id`,`seq`);--> statement-breakpoint
CREATE INDEX `reports_by_answer` ON `reports` (`answer`,`received_at`);--> statement-breakpoint
CREATE TABLE `run_log` (
	`seq` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`run_id` text NOT NULL,
	`host_at` integer NOT NULL,
	`level` text NOT NULL,
	`text` text NOT NULL,
	FOREIGN KEY (`run_id`) REFERENCES `runs`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `run_log_by_run` ON `run_log` (`run_id`,`seq`);--> statement-breakpoint
CREATE TABLE `runs` (
	`id` text PRIMARY KEY NOT NULL,
	`kind` text NOT NULL,
	`database_id` text NOT NULL,
	`agent_id` text NOT NULL,
	`state` text NOT NULL,
	`command_id` text,
	`requested_by` text,
	`created_at` integer NOT NULL,
	`host_started_at` integer,
	`host_finished_at` integer,
	`ended_at` integer,
	`error_code` text,
	`error` text,
	`backup_id` text,
	`outcome` text,
	`request` text,
	FOREIGN KEY (`database_id`) REFERENCES `databases`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`agent_id`) REFERENCES `agents`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `runs_by_state` ON `runs` (`state`,`agent_id`);--> statement-breakpoint
CREATE INDEX `runs_by_database` ON `runs` (`database_id`,`created_at`);--> statement-breakpoint
CREATE INDEX `runs_by_created` ON `runs` (`created_at`);--> statement-breakpoint
CREATE TABLE `stores` (
	`id` text PRIMARY KEY NOT NULL,
	`database_id` text NOT NULL,
	`name` text NOT NULL,
	`type` text NOT NULL,
	`location` text NOT NULL,
	`s3` text,
	`first_seen_at` integer NOT NULL,
	`declared` integer NOT NULL,
	FOREIGN KEY (`database_id`) REFERENCES `databases`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `stores_by_database` ON `stores` (`database_id`);--> statement-breakpoint
CREATE TRIGGER `audit_is_append_only_update` BEFORE UPDATE ON `audit` BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;--> statement-breakpoint
CREATE TRIGGER `audit_is_append_only_delete` BEFORE DELETE ON `audit` BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;

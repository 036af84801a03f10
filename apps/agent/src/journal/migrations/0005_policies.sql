CREATE TABLE `policies` (
	`database_id` text PRIMARY KEY NOT NULL,
	`version` integer NOT NULL,
	`policy` text NOT NULL,
	`pins` text NOT NULL
);

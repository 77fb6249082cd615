BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE lease (
	slot VARCHAR(40) NOT NULL, 
	task_id VARCHAR(64) NOT NULL, 
	attempt INTEGER NOT NULL, 
	taken_at FLOAT NOT NULL, 
	PRIMARY KEY (slot)
);
INSERT INTO "lease" VALUES('cpu:0','aa',1,1764000001.5);
CREATE TABLE task (
	id VARCHAR(64) NOT NULL, 
	"key" VARCHAR(200), 
	type VARCHAR(40) NOT NULL, 
	name TEXT NOT NULL, 
	project TEXT NOT NULL, 
	experiment_id VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	config TEXT NOT NULL, 
	wants VARCHAR(40) NOT NULL, 
	search TEXT NOT NULL, 
	priority INTEGER NOT NULL, 
	parent_id VARCHAR(64) NOT NULL, 
	created_at FLOAT NOT NULL, 
	queued_at FLOAT NOT NULL, 
	not_before FLOAT NOT NULL, 
	started_at FLOAT, 
	ended_at FLOAT, 
	attempt INTEGER NOT NULL, 
	attempt_step INTEGER NOT NULL, 
	restarts INTEGER NOT NULL, 
	fruitless INTEGER NOT NULL, 
	device VARCHAR(40) NOT NULL, 
	waits_for TEXT NOT NULL, 
	progress TEXT NOT NULL, 
	error TEXT NOT NULL, 
	error_class VARCHAR(40) NOT NULL, 
	hint TEXT NOT NULL, 
	mirrored_version INTEGER NOT NULL, 
	deleted_at FLOAT, 
	version INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT task_key UNIQUE ("key")
);
INSERT INTO "task" VALUES('aa','k1','sft','first','minimind','1','STARTING','{"learning_rate": 0.0005, "device": "cpu"}','cpu','first',2,'',1764000000.5,1764000000.5,0.0,1764000001.5,NULL,1,0,0,0,'cpu:0','','{"step": 30, "total_steps": 40, "loss": 2.5}','','','',-1,NULL,1);
INSERT INTO "task" VALUES('bb',NULL,'sft','名前 ''quoted''','minimind','1','QUEUED','{"learning_rate": 0.001, "device": "cpu"}','cpu','first',2,'aa',1764000000.5,1764000000.5,0.0,NULL,NULL,0,0,0,0,'','','{}','','','',-1,NULL,0);
CREATE TABLE task_event (
	number INTEGER NOT NULL, 
	task_id VARCHAR(64) NOT NULL, 
	at FLOAT NOT NULL, 
	attempt INTEGER NOT NULL, 
	"before" VARCHAR(16) NOT NULL, 
	"after" VARCHAR(16) NOT NULL, 
	reason TEXT NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "task_event" VALUES(1,'aa',1764000000.5,0,'','QUEUED','submitted');
INSERT INTO "task_event" VALUES(2,'bb',1764000000.5,0,'','QUEUED','submitted');
INSERT INTO "task_event" VALUES(3,'aa',1764000001.5,1,'QUEUED','STARTING','its turn, on cpu:0');
CREATE INDEX task_state ON task (state);
CREATE INDEX task_created_at ON task (created_at);
CREATE INDEX task_event_task_id ON task_event (task_id);
CREATE TRIGGER task_moves BEFORE UPDATE OF state ON task WHEN NOT ((OLD.state = 'QUEUED' AND NEW.state IN ('FAILED', 'STARTING', 'STOPPED')) OR (OLD.state = 'STARTING' AND NEW.state IN ('FAILED', 'FINISHED', 'LOST', 'QUEUED', 'RUNNING', 'STOPPING')) OR (OLD.state = 'RUNNING' AND NEW.state IN ('FAILED', 'FINISHED', 'LOST', 'STOPPED', 'STOPPING')) OR (OLD.state = 'STOPPING' AND NEW.state IN ('FAILED', 'FINISHED', 'LOST', 'STOPPED')) OR (OLD.state = 'LOST' AND NEW.state IN ('FAILED', 'QUEUED', 'STOPPED')) OR (OLD.state = 'FAILED' AND NEW.state IN ('QUEUED')) OR (OLD.state = 'STOPPED' AND NEW.state IN ('QUEUED'))) BEGIN SELECT RAISE(ABORT, 'no such move between states'); END;
CREATE TRIGGER task_begins BEFORE INSERT ON task WHEN NEW.state != 'QUEUED' BEGIN SELECT RAISE(ABORT, 'no such move between states'); END;
CREATE TRIGGER task_event_update BEFORE UPDATE ON task_event BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
CREATE TRIGGER task_event_delete BEFORE DELETE ON task_event BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
COMMIT;

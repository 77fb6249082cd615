BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0007');
CREATE TABLE lease (
	slot VARCHAR(40) NOT NULL, 
	task_id VARCHAR(64) NOT NULL, 
	attempt INTEGER NOT NULL, 
	taken_at FLOAT NOT NULL, 
	PRIMARY KEY (slot)
);
INSERT INTO "lease" VALUES('cpu:0','aa',1,1764000001.5);
CREATE TABLE sweep (
	id VARCHAR(64) NOT NULL, 
	"key" VARCHAR(200), 
	name TEXT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	spec TEXT NOT NULL, 
	search TEXT NOT NULL, 
	experiment_id VARCHAR(64) NOT NULL, 
	reason TEXT NOT NULL, 
	summary TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	running_since FLOAT, 
	ran_seconds FLOAT NOT NULL, 
	ended_at FLOAT, 
	deleted_at FLOAT, 
	mirrored_version INTEGER NOT NULL, 
	version INTEGER NOT NULL, purging_at FLOAT, 
	PRIMARY KEY (id), 
	CONSTRAINT sweep_key UNIQUE ("key")
);
INSERT INTO "sweep" VALUES('s1',NULL,'one','STOPPED','{"sampler":"tpe","seed":42,"startup_trials":10,"pruner":"none","first_stage":10,"reduction":3,"n_trials":20,"hours":0.0,"device_hours":0.0,"patience":0,"parallel":1,"priority":0,"max_memory_mb":0.0,"max_minutes":0.0,"type":"sft","values":{"data_path":"x"},"params":[{"name":"learning_rate","kind":"float","low":1e-6,"high":0.005,"log":true,"step":0,"choices":[],"when":{}}],"objectives":[{"metric":"eval/loss","direction":"minimize","taken":"best"}],"function":false}','one','7','','{"counts": {}, "best": [], "best_values": [], "device_seconds": 0}',1764000000.5,NULL,1.5,NULL,NULL,-1,2,NULL);
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
	version INTEGER NOT NULL, processes INTEGER DEFAULT '1' NOT NULL, sweep_id VARCHAR(64) DEFAULT '' NOT NULL, trial INTEGER DEFAULT '-1' NOT NULL, trial_state VARCHAR(16) DEFAULT '' NOT NULL, purging_at FLOAT, archived_at FLOAT, fraction FLOAT DEFAULT '0' NOT NULL, loss FLOAT, reward FLOAT, differs TEXT DEFAULT '[]' NOT NULL, overrides TEXT DEFAULT '{}' NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT task_key UNIQUE ("key")
);
INSERT INTO "task" VALUES('aa','k1','sft','first','minimind','1','STARTING','{"learning_rate": 0.0005, "device": "cpu"}','cpu','first',2,'',1764000000.5,1764000000.5,0.0,1764000001.5,NULL,1,0,0,0,'cpu:0','','{"step": 30, "total_steps": 40, "loss": 2.5}','','','',-1,NULL,1,1,'',-1,'',NULL,NULL,0.0,NULL,NULL,'[]','{}');
INSERT INTO "task" VALUES('bb',NULL,'sft','名前 ''quoted''','minimind','1','QUEUED','{"learning_rate": 0.001, "device": "cpu"}','cpu','first',2,'aa',1764000000.5,1764000000.5,0.0,NULL,NULL,0,0,0,0,'','','{}','','','',-1,NULL,0,1,'s1',0,'',NULL,NULL,0.0,NULL,NULL,'[]','{}');
CREATE TABLE task_event (
	number INTEGER NOT NULL, 
	task_id VARCHAR(64) NOT NULL, 
	at FLOAT NOT NULL, 
	attempt INTEGER NOT NULL, 
	"before" VARCHAR(16) NOT NULL, 
	"after" VARCHAR(16) NOT NULL, 
	reason TEXT NOT NULL, error_class VARCHAR(40) DEFAULT '' NOT NULL, overrides TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "task_event" VALUES(1,'aa',1764000000.5,0,'','QUEUED','submitted','','');
INSERT INTO "task_event" VALUES(2,'bb',1764000000.5,0,'','QUEUED','submitted','','');
INSERT INTO "task_event" VALUES(3,'aa',1764000001.5,1,'QUEUED','STARTING','its turn, on cpu:0','','');
CREATE INDEX task_state ON task (state);
CREATE INDEX task_created_at ON task (created_at);
CREATE INDEX task_event_task_id ON task_event (task_id);
CREATE TRIGGER task_moves BEFORE UPDATE OF state ON task WHEN NOT ((OLD.state = 'QUEUED' AND NEW.state IN ('FAILED', 'STARTING', 'STOPPED')) OR (OLD.state = 'STARTING' AND NEW.state IN ('FAILED', 'FINISHED', 'LOST', 'QUEUED', 'RUNNING', 'STOPPING')) OR (OLD.state = 'RUNNING' AND NEW.state IN ('FAILED', 'FINISHED', 'LOST', 'STOPPED', 'STOPPING')) OR (OLD.state = 'STOPPING' AND NEW.state IN ('FAILED', 'FINISHED', 'LOST', 'STOPPED')) OR (OLD.state = 'LOST' AND NEW.state IN ('FAILED', 'QUEUED', 'STOPPED')) OR (OLD.state = 'FAILED' AND NEW.state IN ('QUEUED')) OR (OLD.state = 'STOPPED' AND NEW.state IN ('QUEUED'))) BEGIN SELECT RAISE(ABORT, 'no such move between states'); END;
CREATE TRIGGER task_begins BEFORE INSERT ON task WHEN NEW.state != 'QUEUED' BEGIN SELECT RAISE(ABORT, 'no such move between states'); END;
CREATE TRIGGER task_event_update BEFORE UPDATE ON task_event BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
CREATE UNIQUE INDEX sweep_name ON sweep (name) WHERE deleted_at IS NULL;
CREATE INDEX sweep_created_at ON sweep (created_at);
CREATE TRIGGER task_event_delete BEFORE DELETE ON task_event WHEN EXISTS (SELECT 1 FROM task WHERE id = OLD.task_id) BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
CREATE TRIGGER task_goes BEFORE DELETE ON task WHEN OLD.purging_at IS NULL BEGIN SELECT RAISE(ABORT, 'only a task that is being purged may go'); END;
CREATE INDEX task_listed ON task (deleted_at, archived_at, sweep_id, created_at, id, state, type, started_at, ended_at, fraction, loss, reward, priority, queued_at);
CREATE INDEX task_sweep_id ON task (sweep_id, deleted_at) WHERE sweep_id != '';
CREATE INDEX task_trial_state ON task (sweep_id, trial_state) WHERE sweep_id != '';
CREATE INDEX task_waiting ON task (state, deleted_at, wants, processes, queued_at, priority, created_at, id, not_before) WHERE state = 'QUEUED';
CREATE INDEX task_unmirrored ON task (deleted_at, created_at) WHERE mirrored_version < version;
COMMIT;

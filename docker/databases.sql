-- Run once by the container of PostgreSQL, which has made the queue's database already.
CREATE DATABASE studies;
CREATE DATABASE tracking;

"""What people see: maps, figures, tables for papers, and a report in one offline file."""
